package io.llamafu;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

import static java.util.Objects.requireNonNull;

/**
 * Every failure of Llamafu: a stable {@link ErrorCode} and a sentence that says what was wrong, with the value, and
 * what to do.
 */
public final class LlamafuException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final ErrorCode code;

    public LlamafuException(ErrorCode code, String sentence) {
        this(code, sentence, null);
    }

    public LlamafuException(ErrorCode code, String sentence, Throwable cause) {
        super(requireNonNull(sentence, "sentence is null"), cause);
        this.code = requireNonNull(code, "code is null");
    }

    /** The failure of a request that reaches an engine after its end. */
    public static LlamafuException engineClosed() {
        return engineClosed(null);
    }

    public static LlamafuException engineClosed(Throwable cause) {
        return new LlamafuException(ErrorCode.ENGINE_CLOSED, "The engine was closed; open a new one.", cause);
    }

    /**
     * A failure with a code: the given one, or what a future wraps, if it has one already.
     *
     * @param code of all other failures
     * @param what went wrong then, such as {@code The engine failed}
     */
    public static LlamafuException of(Throwable failure, ErrorCode code, String what) {
        Throwable cause = unwrapped(failure);
        return cause instanceof LlamafuException coded
                ? coded
                : new LlamafuException(code, "%s: %s".formatted(what, cause), cause);
    }

    private static Throwable unwrapped(Throwable failure) {
        boolean wraps = failure instanceof CompletionException || failure instanceof ExecutionException;
        return wraps && failure.getCause() != null ? failure.getCause() : failure;
    }

    public ErrorCode code() {
        return code;
    }

    /** What was wrong, with the value, and what to do; without the code, for where that stands in a field of its own. */
    public String sentence() {
        return super.getMessage();
    }

    /** The code and the {@link #sentence}, so that a log or a web page that shows the message alone has both. */
    @Override
    public String getMessage() {
        return code + ": " + sentence();
    }
}
