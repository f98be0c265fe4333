package io.llamafu.flink.completion;

import io.llamafu.engine.Completion;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.flink.OnError;
import org.apache.flink.annotation.Internal;

/** What an {@link EngineClient} is asked for a record. */
@Internal
public interface Question {

    /**
     * The request for the engine, computed when it is asked.
     *
     * @throws RuntimeException if the record cannot be asked for; that is the failure of the record
     */
    CompletionRequest request();

    /**
     * Checks the engine's answer.
     *
     * @throws io.llamafu.LlamafuException if the record counts as failed all the same
     */
    default void check(Completion answer) {}

    /** What becomes of a failure. */
    OnError onError();

    /** What the message of a failure begins with, such as {@code The record with id '7'}. */
    String subject();
}
