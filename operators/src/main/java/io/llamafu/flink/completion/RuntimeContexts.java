package io.llamafu.flink.completion;

import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.streaming.api.operators.StreamingRuntimeContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.lang.reflect.Field;
import java.util.Optional;

/**
 * SQL functions get a context that hides the context of their task: its folders, its memory, and the hook that runs
 * before a job's class loader is closed. Without the hook, an engine that was loaded from a job's jar could not be
 * closed after the job.
 */
final class RuntimeContexts {
    private static final Logger LOG = LoggerFactory.getLogger(RuntimeContexts.class);

    private RuntimeContexts() {}

    /** The task's context behind a wrapper; empty if this version of Flink stores it elsewhere. */
    static Optional<StreamingRuntimeContext> ofTask(Object context) {
        Optional<Object> behind = Optional.of(context);
        while (behind.isPresent()) {
            if (behind.get() instanceof StreamingRuntimeContext found) {
                return Optional.of(found);
            }
            behind = hiddenBy(behind.get());
        }
        LOG.warn(
                "{} hides the context of its task in a way that is not known. If Llamafu is in the job's jar, an engine may stay in memory after the job; put it into lib/.",
                context.getClass().getName());
        return Optional.empty();
    }

    private static Optional<Object> hiddenBy(Object context) {
        for (Class<?> type = context.getClass(); type != null; type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (RuntimeContext.class.isAssignableFrom(field.getType())) {
                    return valueOf(field, context);
                }
            }
        }
        return Optional.empty();
    }

    private static Optional<Object> valueOf(Field field, Object context) {
        try {
            field.setAccessible(true);
            return Optional.ofNullable(field.get(context));
        } catch (IllegalAccessException | RuntimeException e) {
            LOG.debug("{} cannot be read.", field, e);
            return Optional.empty();
        }
    }
}
