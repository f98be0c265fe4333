package io.llamafu.jllama;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/**
 * Which texts llama.cpp b4916 can be given. Many of its tokenizers recurse for each character of a word, 320 bytes of stack
 * deep as it was measured, so texts are tokenized on threads with a large stack, and words are bounded by that.
 */
final class TextLimits {
    /** Address space; memory is taken only for what is used. */
    static final long STACK_BYTES = 256L << 20;

    /** A fifth of what the stack is enough for. */
    static final int MAX_WORD = 150_000;

    private TextLimits() {}

    /**
     * Checks a prompt.
     *
     * @param longestToken of the vocabulary, in bytes
     * @throws LlamafuException with PROMPT_TOO_LONG
     */
    static void check(byte[] utf8, String text, int sequenceTokens, int longestToken) {
        if (utf8.length / longestToken >= sequenceTokens) {
            throw new LlamafuException(
                    ErrorCode.PROMPT_TOO_LONG,
                    "The prompt has %d bytes, but a sequence holds %d tokens of at most %d bytes with its answer; shorten it or raise context-size."
                            .formatted(utf8.length, sequenceTokens, longestToken));
        }
        checkWords(text);
    }

    /** As {@link #check}, for what has no other limit. */
    static void checkWords(String text) {
        int start = 0;
        for (int i = 1; i <= text.length(); i++) {
            if (i == text.length() || isBlank(text, i) != isBlank(text, start)) {
                if (i - start > MAX_WORD) {
                    throw new LlamafuException(
                            ErrorCode.PROMPT_TOO_LONG,
                            "The text has a word, or blanks, of %d characters at index %d, but the engine %s takes %d; break it up, or use the engine native."
                                    .formatted(i - start, start, JavaLlamaCppEngine.NAME, MAX_WORD));
                }
                start = i;
            }
        }
    }

    private static boolean isBlank(String text, int index) {
        return Character.isWhitespace(text.charAt(index)) || Character.isSpaceChar(text.charAt(index));
    }

    /** Runs what tokenizes a text, for a thread whose stack may be small. */
    static <T> T withLargeStack(Supplier<T> tokenizing) {
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread thread = new Thread(
                null,
                () -> {
                    try {
                        result.complete(tokenizing.get());
                    } catch (RuntimeException | Error e) {
                        result.completeExceptionally(e);
                    }
                },
                "llamafu-java-llama-tokenizer",
                STACK_BYTES);
        thread.setDaemon(true);
        thread.start();
        try {
            return result.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException unchecked ? unchecked : e;
        }
    }
}
