package io.llamafu.engine;

/** Why generation ended. */
public enum FinishReason {
    /** The model produced an end-of-generation token. */
    END_OF_GENERATION,
    /** One of the request's stop strings appeared; the text ends before it. */
    STOP_STRING,
    /** The request's {@code maxTokens} were generated. */
    MAX_TOKENS,
    /** The sequence reached the most tokens that a sequence may hold. */
    CONTEXT_FULL
}
