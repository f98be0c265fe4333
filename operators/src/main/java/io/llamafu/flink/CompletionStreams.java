package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The outputs of a completion; see {@link CompletionBuilder#buildStreams()}.
 *
 * @param answered the records that got a text
 * @param deadLetters the records that got none, unchanged, with the error; empty with {@code on-error} = {@code fail},
 *     and without code and error with {@code null}
 * @param rejectedRoutes route changes and rules that did not take effect, with the reason; empty without routes and
 *     rules
 */
@PublicEvolving
public record CompletionStreams<T>(
        SingleOutputStreamOperator<Answered<T>> answered,
        DataStream<Answered<T>> deadLetters,
        Optional<DataStream<RejectedRoute>> rejectedRoutes) {
    public CompletionStreams {
        checkNotNull(answered, "answered is null");
        checkNotNull(deadLetters, "deadLetters is null");
        checkNotNull(rejectedRoutes, "rejectedRoutes is null");
    }
}
