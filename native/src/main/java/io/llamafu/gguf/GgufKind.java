package io.llamafu.gguf;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.nio.file.Path;

/** What a file is read as; it determines the codes of its errors. */
public enum GgufKind {
    MODEL("model", ErrorCode.MODEL_NOT_FOUND, ErrorCode.MODEL_INVALID),
    ADAPTER("adapter", ErrorCode.ADAPTER_NOT_FOUND, ErrorCode.ADAPTER_INVALID);

    private final String noun;
    private final ErrorCode notFound;
    private final ErrorCode invalid;

    GgufKind(String noun, ErrorCode notFound, ErrorCode invalid) {
        this.noun = noun;
        this.notFound = notFound;
        this.invalid = invalid;
    }

    /** The file cannot be opened: {@code MODEL_NOT_FOUND} or {@code ADAPTER_NOT_FOUND}. */
    LlamafuException notFound(Path path, String problem, Throwable cause) {
        return new LlamafuException(notFound, sentence(path, problem), cause);
    }

    /** The file is malformed: {@code MODEL_INVALID} or {@code ADAPTER_INVALID}. */
    public LlamafuException invalid(Path path, String problem) {
        return new LlamafuException(invalid, sentence(path, problem));
    }

    public LlamafuException invalid(Path path, String problem, Throwable cause) {
        return new LlamafuException(invalid, sentence(path, problem), cause);
    }

    private String sentence(Path path, String problem) {
        return "The %s '%s' %s".formatted(noun, path, problem);
    }
}
