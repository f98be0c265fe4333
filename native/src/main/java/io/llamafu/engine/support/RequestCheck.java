package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.CompletionRequest;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;

import static java.nio.charset.StandardCharsets.UTF_8;

/** What can be said of a request without a model. */
public final class RequestCheck {
    private RequestCheck() {}

    /**
     * Checks a request.
     *
     * @return the prompt in UTF-8
     * @throws LlamafuException with INVALID_REQUEST or INVALID_TEXT
     */
    public static byte[] utf8(CompletionRequest request) {
        require(!request.prompt().isEmpty(), "The prompt is empty; give it a text.");
        require(request.maxTokens() >= 1, "max-tokens is %d, but must be 1 or more.".formatted(request.maxTokens()));
        require(
                !request.timeout().isNegative() && !request.timeout().isZero(),
                "timeout is %s, but must be positive.".formatted(request.timeout()));
        for (String stop : request.stop()) {
            require(!stop.isEmpty(), "A stop string is empty; leave it out.");
            encode(stop, "A stop string");
        }
        encode(request.sampling().grammar(), "The grammar");
        return encode(request.prompt(), "The prompt");
    }

    private static void require(boolean condition, String message) {
        if (!condition) {
            throw new LlamafuException(ErrorCode.INVALID_REQUEST, message);
        }
    }

    /**
     * A text in UTF-8.
     *
     * @param what it is, as the beginning of a sentence
     * @throws LlamafuException with INVALID_TEXT if it has an unpaired surrogate
     */
    public static byte[] encode(String text, String what) {
        try {
            ByteBuffer encoded = UTF_8.newEncoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .encode(CharBuffer.wrap(text));
            byte[] bytes = new byte[encoded.remaining()];
            encoded.get(bytes);
            return bytes;
        } catch (CharacterCodingException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_TEXT,
                    "%s is no valid UTF-16: an unpaired surrogate at index %d; clean the text first."
                            .formatted(what, unpairedSurrogate(text)),
                    e);
        }
    }

    private static int unpairedSurrogate(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isHighSurrogate(text.charAt(i))
                    && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(text.charAt(i))) {
                return i;
            }
        }
        return -1;
    }
}
