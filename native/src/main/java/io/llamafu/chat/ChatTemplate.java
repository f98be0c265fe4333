package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.Prompt;

import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;

/**
 * A chat template in Jinja, as models bring it. Immutable.
 *
 * <pre>{@code
 * Prompt prompt = ChatTemplate.of(source, Map.of("bos_token", "<s>"))
 *         .render(List.of(ChatMessage.user("Why?")), ChatVariables.DEFAULT);
 * }</pre>
 *
 * <p>Control strings of the template become control tokens, those in contents of messages do not, whatever the template
 * does with them. Rendering is bounded in work, memory and depth, and equal conversations have equal prompts.
 */
public final class ChatTemplate {
    /** The longest source in bytes; real templates have up to 20,000. */
    public static final int MAX_SOURCE_BYTES = 256 << 10;

    /** The most bytes of all contents of a conversation; more fit no context. */
    public static final int MAX_CONTENT_BYTES = 8 << 20;

    private static final String PROBE = "Llamafu looks for this in what the template renders.";

    private final String source;
    private final List<String> texts;
    private final boolean contentParts;

    private ChatTemplate(String source, List<String> texts, boolean contentParts) {
        this.source = source;
        this.texts = texts;
        this.contentParts = contentParts;
    }

    /**
     * Parses a template and renders a message with it.
     *
     * @param specialTokens texts of special tokens by the names that templates have for them, such as {@code bos_token}
     * @throws LlamafuException with {@link ErrorCode#CHAT_TEMPLATE_INVALID} if it is too long, does not parse, cannot render
     *     the message or leaves its text out, and the codes of a native library that cannot be loaded
     */
    public static ChatTemplate of(String source, Map<String, String> specialTokens) {
        int bytes = Utf8.encode(source, "The chat template").length;
        if (source.isBlank() || bytes > MAX_SOURCE_BYTES) {
            throw invalid("The chat template has %d bytes, but must be a text of 1 to %d."
                    .formatted(bytes, MAX_SOURCE_BYTES));
        }
        String normalized = source.replace("\r\n", "\n").replace('\r', '\n');
        List<String> texts = new ArrayList<>();
        specialTokens.forEach((name, text) -> texts.addAll(List.of(name, text)));
        ChatTemplate ofTexts = new ChatTemplate(normalized, List.copyOf(texts), false);
        Optional<LlamafuException> failure = ofTexts.probe();
        if (failure.isEmpty()) {
            return ofTexts;
        }
        ChatTemplate ofParts = new ChatTemplate(normalized, List.copyOf(texts), true);
        if (ofParts.probe().isEmpty()) {
            return ofParts;
        }
        throw invalid(failure.get().sentence(), failure.get());
    }

    private Optional<LlamafuException> probe() {
        try {
            Prompt prompt = render(List.of(ChatMessage.user(PROBE)), ChatVariables.DEFAULT);
            return prompt.parts().stream()
                            .anyMatch(
                                    part -> !part.controlTokens() && part.text().contains(PROBE))
                    ? Optional.empty()
                    : Optional.of(invalid("The chat template leaves out the user's text."));
        } catch (LlamafuException e) {
            if (e.code() != ErrorCode.CHAT_TEMPLATE_FAILED) {
                throw e;
            }
            return Optional.of(e);
        }
    }

    /**
     * The prompt of a conversation.
     *
     * @throws LlamafuException with {@link ErrorCode#CHAT_TEMPLATE_FAILED} if the template refuses it or takes too much work,
     *     {@link ErrorCode#PROMPT_TOO_LONG} above {@link #MAX_CONTENT_BYTES}, {@link ErrorCode#INVALID_TEXT} for an unpaired
     *     surrogate
     */
    public Prompt render(List<ChatMessage> messages, ChatVariables variables) {
        List<byte[]> turns = new ArrayList<>();
        long bytes = 0;
        for (ChatMessage message : messages) {
            byte[] content = Utf8.encode(message.content(), "The %s's message".formatted(message.role()));
            turns.add(message.role().getBytes(UTF_8));
            turns.add(content);
            bytes += content.length;
        }
        if (bytes > MAX_CONTENT_BYTES) {
            throw new LlamafuException(
                    ErrorCode.PROMPT_TOO_LONG,
                    "The conversation has %d bytes, but a chat template takes at most %d; shorten the text."
                            .formatted(bytes, MAX_CONTENT_BYTES));
        }
        return TemplateEngine.render(
                source,
                turns,
                texts,
                flags(variables),
                contentParts,
                variables.date().atStartOfDay(ZoneOffset.UTC).toEpochSecond());
    }

    private static List<String> flags(ChatVariables variables) {
        List<String> flags = new ArrayList<>();
        flags.add((variables.generationPrompt() ? "+" : "-") + "add_generation_prompt");
        variables.thinking().ifPresent(thinking -> {
            flags.add((thinking ? "+" : "-") + "enable_thinking");
            flags.add((thinking ? "+" : "-") + "thinking");
        });
        return flags;
    }

    /** The template, with line ends of Unix. */
    public String source() {
        return source;
    }

    /** SHA-256 of the source. */
    public String digest() {
        return Sha256.of(source);
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.CHAT_TEMPLATE_INVALID, message);
    }

    private static LlamafuException invalid(String message, LlamafuException cause) {
        return new LlamafuException(ErrorCode.CHAT_TEMPLATE_INVALID, message, requireNonNull(cause, "cause is null"));
    }
}
