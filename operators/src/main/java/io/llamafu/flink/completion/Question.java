package io.llamafu.flink.completion;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.flink.OnError;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.annotation.Internal;

/** A request for a record, to be asked by an {@link EngineClient}. */
@Internal
public interface Question {

    /**
     * The request for the engine, computed when it is asked.
     *
     * @throws RuntimeException if there can be no request; it is the failure of the record
     */
    CompletionRequest request();

    /**
     * Checks the engine's answer.
     *
     * @throws io.llamafu.LlamafuException if the answer counts as a failure
     */
    default void check(CompletionResult answer) {}

    /** The SHA-256 of the template of its prompt. */
    String promptTemplateDigest();

    /** Whether the outcome has the prompt. */
    boolean promptInOutput();

    /** How its prompt becomes a conversation. */
    ChatOptions chat();

    /** How to handle a failure. */
    OnError onError();

    /** The beginning of failure messages, such as {@code The record with id '7'}. */
    String subject();
}
