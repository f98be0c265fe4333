package io.llamafu.engine;

import static java.util.Objects.requireNonNull;

/**
 * Every failure of Llamafu: a stable {@link ErrorCode} and a sentence that says what was wrong, with the value, and
 * what to do.
 */
public final class LlamafuException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final ErrorCode code;

    public LlamafuException(ErrorCode code, String message) {
        this(code, message, null);
    }

    public LlamafuException(ErrorCode code, String message, Throwable cause) {
        super(requireNonNull(message, "message is null"), cause);
        this.code = requireNonNull(code, "code is null");
    }

    public ErrorCode code() {
        return code;
    }

    /** {@code CODE: message}, so that a log line or a failed job shows the code without further ado. */
    @Override
    public String toString() {
        return code + ": " + getMessage();
    }
}
