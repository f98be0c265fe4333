package io.llamafu.flink;

import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;

import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/** Forwards records and fails the job at the first one that is due, once over all attempts of the job. */
public final class FailOnce<T> extends RichMapFunction<T, T> implements CheckpointListener {
    private static final long serialVersionUID = 1L;
    private static final Set<String> FAILED = ConcurrentHashMap.newKeySet();

    public interface Due<T> extends Predicate<T>, java.io.Serializable {}

    private final String name = UUID.randomUUID().toString();
    private final Due<T> due;
    private final Runnable beforeFailure;
    private boolean checkpointed;

    public FailOnce(Due<T> due) {
        this(due, (Runnable & java.io.Serializable) () -> {});
    }

    <R extends Runnable & java.io.Serializable> FailOnce(Due<T> due, R beforeFailure) {
        this.due = due;
        this.beforeFailure = beforeFailure;
    }

    public boolean hasFailed() {
        return FAILED.contains(name);
    }

    @Override
    public T map(T value) {
        if (checkpointed && due.test(value) && FAILED.add(name)) {
            beforeFailure.run();
            throw new IllegalStateException("The failure that the test asked for.");
        }
        return value;
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
        checkpointed = true;
    }
}
