package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.engine.CompletionRequest;

import java.time.Duration;

/** The checks of a request that need no model. */
public final class RequestCheck {
    private RequestCheck() {}

    /** The failure of a call without a request. */
    public static LlamafuException noRequest() {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, "The request is null; give one.");
    }

    /**
     * Checks a request.
     *
     * @return the prompt in UTF-8
     * @throws LlamafuException with INVALID_REQUEST or INVALID_TEXT
     */
    public static byte[] utf8(CompletionRequest request) {
        require(!request.prompt().isEmpty(), "The prompt is empty; give it a text.");
        require(request.maxTokens() >= 1, "max-tokens is %d, but must be 1 or more.".formatted(request.maxTokens()));
        requirePositive("timeout", request.timeout());
        requirePositive("patience", request.patience());
        for (String stop : request.stop()) {
            require(!stop.isEmpty(), "A stop string is empty; leave it out.");
            Utf8.requireEncodable(stop, "A stop string");
        }
        Utf8.requireEncodable(request.sampling().grammar(), "The grammar");
        require(
                request.labels().isEmpty() || request.sampling().grammar().isEmpty(),
                "The request has both labels and a grammar, but an answer can follow one only; leave one out.");
        return Utf8.encode(request.prompt().toString(), "The prompt");
    }

    private static void requirePositive(String name, Duration duration) {
        require(
                !duration.isNegative() && !duration.isZero(),
                "%s is %s, but must be positive.".formatted(name, duration));
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, message);
        }
    }
}
