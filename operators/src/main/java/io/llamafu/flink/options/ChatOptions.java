package io.llamafu.flink.options;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.chat.ChatFamily;
import io.llamafu.chat.ChatMessage;
import io.llamafu.chat.Thinking;
import org.apache.flink.annotation.Internal;

import java.time.LocalDate;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.List;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * How records become conversations, as the options say.
 *
 * @param template {@code auto}, {@code model}, {@code none}, the name of a family, or the location of a file
 * @param system the system prompt; empty for none
 * @param examples turns of users and assistants, alternately
 * @param thinking what becomes of it
 * @param date for templates that print one
 */
@Internal
public record ChatOptions(
        String template, String system, List<ChatMessage> examples, Thinking thinking, LocalDate date) {
    /** The template of the model, if it has one. */
    public static final String AUTO = "auto";
    /** The template of the model. */
    public static final String MODEL = "model";
    /** The prompt is what the model gets. */
    public static final String NONE = "none";

    public ChatOptions {
        checkNotNull(template, "template is null");
        checkNotNull(system, "system is null");
        examples = List.copyOf(examples);
        checkNotNull(thinking, "thinking is null");
        checkNotNull(date, "date is null");
    }

    /**
     * Parses the written forms.
     *
     * @param examples a {@link TextList} of what users and assistants say, alternately
     * @throws LlamafuException with INVALID_OPTION
     */
    public static ChatOptions parse(String template, String system, String examples, Thinking thinking, String date) {
        if (isFile(template) && template.chars().noneMatch(c -> c == '.' || c == '/')) {
            throw invalid(
                    "chat-template is '%s', but must be auto, model, none, one of the families %s, or a file such as '/models/chat.jinja'."
                            .formatted(template, String.join(", ", ChatFamily.optionNames())));
        }
        ChatOptions options = new ChatOptions(template, system, turns(examples), thinking, date(date));
        if (template.equals(NONE)) {
            options.requirePlain("chat-template is none");
        }
        return options;
    }

    private static List<ChatMessage> turns(String examples) {
        List<String> texts = TextList.parse("chat-examples", examples);
        if (texts.size() % 2 != 0) {
            throw invalid("chat-examples has %d texts, but each text of a user needs the answer to it."
                    .formatted(texts.size()));
        }
        List<ChatMessage> turns = new ArrayList<>();
        for (int i = 0; i < texts.size(); i += 2) {
            turns.add(ChatMessage.user(texts.get(i)));
            turns.add(ChatMessage.assistant(texts.get(i + 1)));
        }
        return turns;
    }

    private static LocalDate date(String written) {
        try {
            return LocalDate.parse(written);
        } catch (DateTimeParseException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "chat-date is '%s', but must be a date such as 2024-07-26.".formatted(written),
                    e);
        }
    }

    /**
     * Without a template there is no place for a system prompt, examples or a wish not to think.
     *
     * @param reason the beginning of the message
     * @throws LlamafuException with INVALID_OPTION if there is one
     */
    public void requirePlain(String reason) {
        String idle = !system.isEmpty() ? "system-prompt" : !examples.isEmpty() ? "chat-examples" : "";
        if (!idle.isEmpty()) {
            throw invalid(
                    "%s, so %s has no place in the prompt: choose a chat-template, such as one of the families %s, or write it into prompt-template."
                            .formatted(reason, idle, String.join(", ", ChatFamily.optionNames())));
        }
    }

    public boolean isAuto() {
        return template.equals(AUTO);
    }

    public boolean isNone() {
        return template.equals(NONE);
    }

    /** Whether a value of {@code chat-template} is the location of a file. */
    public static boolean isFile(String template) {
        return !List.of(AUTO, MODEL, NONE).contains(template)
                && ChatFamily.find(template).isEmpty();
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }
}
