package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.Prompt.Part;
import io.llamafu.llamacpp.NativeLibrary;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The JNI surface of llama.cpp's Jinja engine. */
final class TemplateEngine {

    static {
        NativeLibrary.load();
    }

    private TemplateEngine() {}

    /**
     * Parses and renders a template, within bounds of work, memory and depth.
     *
     * @param messages roles and contents, alternately
     * @param texts names and texts of variables, alternately
     * @param flags names of variables, each after a '+' if it is true and a '-' if it is false
     * @param contentParts whether a content is a list of parts, as in messages with images
     * @param now seconds since 1970 that {@code strftime_now} formats
     * @throws LlamafuException with CHAT_TEMPLATE_FAILED or OUT_OF_MEMORY
     */
    static Prompt render(
            String source,
            List<byte[]> messages,
            List<String> texts,
            List<String> flags,
            boolean contentParts,
            long now) {
        byte[] packed = render(
                source.getBytes(UTF_8), messages.toArray(byte[][]::new), bytes(texts), bytes(flags), contentParts, now);
        List<Part> parts = new ArrayList<>();
        ByteBuffer rest = ByteBuffer.wrap(packed);
        while (rest.hasRemaining()) {
            boolean input = rest.get() != 0;
            ByteBuffer text = rest.slice(rest.position() + Integer.BYTES, rest.getInt(rest.position()));
            rest.position(rest.position() + Integer.BYTES + text.remaining());
            parts.add(new Part(decode(text), !input));
        }
        return new Prompt(parts);
    }

    private static byte[][] bytes(List<String> texts) {
        return texts.stream().map(text -> text.getBytes(UTF_8)).toArray(byte[][]::new);
    }

    private static String decode(ByteBuffer utf8) {
        try {
            return UTF_8.newDecoder().decode(utf8).toString();
        } catch (CharacterCodingException e) {
            throw new LlamafuException(
                    ErrorCode.CHAT_TEMPLATE_FAILED,
                    "The chat template cuts a text within a character; it counts bytes where it should count"
                            + " characters.",
                    e);
        }
    }

    private static native byte[] render(
            byte[] source, byte[][] messages, byte[][] texts, byte[][] flags, boolean contentParts, long now);
}
