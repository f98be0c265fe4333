package io.llamafu;

/** What kind of thing went wrong. The name is stable: it is written to records, metrics and SQL results. */
public enum ErrorCode {
    /** The request itself cannot be served: an empty prompt, a token limit below 1, a malformed stack. */
    INVALID_REQUEST,
    /** A text is not valid UTF-16 (an unpaired surrogate), so it has no UTF-8 form to hand to the model. */
    INVALID_TEXT,
    /** A setting of the engine or of the job is out of its range, unknown, or contradicts another one. */
    INVALID_OPTION,
    /** The GBNF grammar of a request does not parse, or has no {@code root} rule. */
    INVALID_GRAMMAR,
    /** While an answer was written, its grammar had more ways to go on than can be followed. */
    GRAMMAR_TOO_COMPLEX,
    /** A JSON schema is malformed, asks for the impossible, or uses keywords that cannot be enforced. */
    INVALID_SCHEMA,
    /** The prompt has more tokens than one sequence may hold. */
    PROMPT_TOO_LONG,
    /** The answer ended before it was complete: before its JSON was closed, or its label written. */
    ANSWER_INCOMPLETE,
    /** The model file does not exist or is not a readable regular file. */
    MODEL_NOT_FOUND,
    /** The model file is not a GGUF model that this version can validate. */
    MODEL_INVALID,
    /** llama.cpp refused a model that passed validation. */
    MODEL_LOAD_FAILED,
    /** No adapter of that name is in the catalog. */
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
    /** The model computed a logit that is no finite number, as scales or weights that are too large make it do. */
    NON_FINITE_LOGITS,
    /** Decoding failed; the message says how. */
    ENGINE_FAILED,
    /** The native library is absent for this platform, or could not be loaded. */
    NATIVE_LIBRARY_UNAVAILABLE,
    /** This CPU lacks instructions that the native library was built for. */
    UNSUPPORTED_CPU
}
