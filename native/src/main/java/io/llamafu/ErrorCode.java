package io.llamafu;

/** The kind of a failure. Names are stable: they are written to records, metrics and SQL results. */
public enum ErrorCode {
    /** The request itself cannot be served: an empty prompt, a token limit below 1, a malformed stack. */
    INVALID_REQUEST,
    /** A text has an unpaired surrogate, and so no UTF-8 form, or a character for which the model has no token. */
    INVALID_TEXT,
    /** An option of the engine or of the job is out of range, unknown, or contradicts another one. */
    INVALID_OPTION,
    /** The GBNF grammar of a request does not parse, or has no {@code root} rule. */
    INVALID_GRAMMAR,
    /** While the answer was written, its grammar left open more alternatives than can be followed. */
    GRAMMAR_TOO_COMPLEX,
    /** A JSON schema is malformed, cannot be satisfied, or uses keywords that cannot be enforced. */
    INVALID_SCHEMA,
    /** The prompt has more tokens than one sequence may hold. */
    PROMPT_TOO_LONG,
    /** The answer ended before its JSON was closed or its label complete. */
    ANSWER_INCOMPLETE,
    /** The chat template is missing, malformed, or cannot render what every conversation of the job contains. */
    CHAT_TEMPLATE_INVALID,
    /** The chat template refuses this conversation, or takes too much work to render it. */
    CHAT_TEMPLATE_FAILED,
    /** The model file does not exist or is not a readable regular file. */
    MODEL_NOT_FOUND,
    /** The model file is not a GGUF model that this version can validate. */
    MODEL_INVALID,
    /** llama.cpp refused a model that passed validation. */
    MODEL_LOAD_FAILED,
    /** The catalog has no adapter of that name. */
    ADAPTER_NOT_FOUND,
    /** The adapter file is not a well-formed GGUF LoRA adapter. */
    ADAPTER_INVALID,
    /** The adapter is well-formed but does not fit the loaded model. */
    ADAPTER_INCOMPATIBLE,
    /** llama.cpp refused an adapter that passed validation. */
    ADAPTER_LOAD_FAILED,
    /** A remote model or adapter cannot be fetched: its file system cannot be read, or the local cache has no room. */
    ARTIFACT_UNAVAILABLE,
    /** A memory budget would be exceeded, or the operating system refused an allocation. */
    OUT_OF_MEMORY,
    /** The request was not answered within its timeout. */
    DEADLINE_EXCEEDED,
    /** The engine was closed before the request was answered. */
    ENGINE_CLOSED,
    /** The model computed a logit that is not finite, as too large scales or weights cause. */
    NON_FINITE_LOGITS,
    /** Decoding failed; the message says how. */
    ENGINE_FAILED,
    /** There is no native library for this platform, or it could not be loaded. */
    NATIVE_LIBRARY_UNAVAILABLE,
    /** This CPU lacks instructions that the native library was built for. */
    UNSUPPORTED_CPU,
    /** A file to label does not exist, cannot be read, or changed while it was read. */
    INPUT_UNAVAILABLE,
    /** A line of a file to label is no row of its format. */
    MALFORMED_ROW,
    /** The output of the label job cannot be written, read or listed. */
    OUTPUT_UNAVAILABLE
}
