package io.llamafu;

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

    /** With the code, so that a log line or a failed job shows it; the message alone stays a sentence. */
    @Override
    @SuppressWarnings("OverrideThrowableToString")
    public String toString() {
        return "LlamafuException " + code + ": " + getMessage();
    }
}
