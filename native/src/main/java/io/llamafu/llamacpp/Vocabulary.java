package io.llamafu.llamacpp;

import io.llamafu.engine.support.AnswerText;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/**
 * The text of every token, copied once from the model to save a native call per token.
 *
 * <p>Layout of the native copy, in native byte order: int32 n, int32 offsets[n + 1] into the pieces, n bytes that are 1
 * for end-of-generation tokens, the pieces in UTF-8 (a piece alone may be part of a character).
 */
final class Vocabulary {
    private final byte[] data;
    private final int[] offsets;
    private final int endsAt;
    private final int piecesAt;

    Vocabulary(byte[] data) {
        this.data = data;
        ByteBuffer buffer = ByteBuffer.wrap(data).order(ByteOrder.nativeOrder());
        int size = buffer.getInt();
        this.offsets = new int[size + 1];
        buffer.asIntBuffer().get(offsets);
        this.endsAt = Integer.BYTES * (size + 2);
        this.piecesAt = endsAt + size;
    }

    boolean isEndOfGeneration(int token) {
        return data[endsAt + token] != 0;
    }

    /** The tokens that end an answer. */
    int[] endsOfGeneration() {
        return IntStream.range(0, offsets.length - 1)
                .filter(this::isEndOfGeneration)
                .toArray();
    }

    /** Appends the bytes of a token; control tokens have none. */
    void appendPiece(int token, AnswerText answer) {
        answer.append(data, piecesAt + offsets[token], offsets[token + 1] - offsets[token]);
    }
}
