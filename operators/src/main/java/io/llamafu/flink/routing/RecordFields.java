package io.llamafu.flink.routing;

import io.llamafu.engine.SamplingOptions;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.util.function.SerializableFunction;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.List;
import java.util.Map;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The functions that take the fields of a request out of a record. A function that is null or returns null leaves the
 * field to the job.
 *
 * @param key chooses the route; null for a job without keys
 * @param prompt the text to answer
 * @param id an identity
 * @param stack the stack that answers, overriding the routes
 * @param scales scales that replace those of the stack
 * @param sampling how tokens are chosen
 * @param maxTokens the most tokens to generate
 * @param labels the labels to choose from
 */
@Internal
public record RecordFields<T>(
        @Nullable KeySelector<T, String> key,
        SerializableFunction<T, String> prompt,
        @Nullable SerializableFunction<T, String> id,
        @Nullable SerializableFunction<T, String> stack,
        @Nullable SerializableFunction<T, Map<String, Float>> scales,
        @Nullable SerializableFunction<T, SamplingOptions> sampling,
        @Nullable SerializableFunction<T, Integer> maxTokens,
        @Nullable SerializableFunction<T, List<String>> labels)
        implements Serializable {

    public RecordFields {
        checkNotNull(prompt, "prompt is null");
    }

    @Nullable
    static <T, V> V apply(@Nullable SerializableFunction<T, V> function, T value) {
        return function == null ? null : function.apply(value);
    }
}
