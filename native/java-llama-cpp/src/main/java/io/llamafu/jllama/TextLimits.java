package io.llamafu.jllama;

import io.llamafu.DaemonThreads;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/**
 * Limits for texts given to llama.cpp b4916. Many of its tokenizers recurse for each character of a word, using 320
 * bytes of stack as measured. Texts are therefore tokenized on threads with a large stack, which limits the length of
 * words.
 */
final class TextLimits {
    /** Address space; memory is used only as needed. */
    static final long STACK_BYTES = 256L << 20;

    /** A fifth of what the stack allows. */
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

    /** Like {@link #check}, for texts without another limit. */
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

    /** Runs a tokenization on a thread with a large stack. */
    static <T> T withLargeStack(Supplier<T> tokenizing) {
        CompletableFuture<T> result = new CompletableFuture<>();
        DaemonThreads.named("llamafu-java-llama-tokenizer", STACK_BYTES)
                .newThread(() -> {
                    try {
                        result.complete(tokenizing.get());
                    } catch (RuntimeException | Error e) {
                        result.completeExceptionally(e);
                    }
                })
                .start();
        try {
            return result.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException unchecked ? unchecked : e;
        }
    }
}
