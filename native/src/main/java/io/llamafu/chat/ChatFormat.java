package io.llamafu.chat;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.Prompt;

import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;

import static java.util.Objects.requireNonNull;

/**
 * How requests become conversations with a model.
 *
 * @param template of the model or of its family
 * @param system what the model is told before all else; empty for nothing
 * @param examples turns before that of the user, such as examples of questions with their answers
 * @param thinking what becomes of it
 * @param date for templates that print one
 */
public record ChatFormat(
        ChatTemplate template, String system, List<ChatMessage> examples, Thinking thinking, LocalDate date) {

    public ChatFormat {
        requireNonNull(template, "template is null");
        requireNonNull(system, "system is null");
        examples = List.copyOf(examples);
        requireNonNull(thinking, "thinking is null");
        requireNonNull(date, "date is null");
    }

    /**
     * The prompt in which a text is the user's turn, and the assistant's begins.
     *
     * @throws io.llamafu.LlamafuException as {@link ChatTemplate#render}
     */
    public Prompt prompt(String text) {
        List<ChatMessage> messages = new ArrayList<>();
        if (!system.isEmpty()) {
            messages.add(ChatMessage.system(system));
        }
        messages.addAll(examples);
        messages.add(ChatMessage.user(text));
        return template.render(messages, new ChatVariables(true, thinking.variable(), date));
    }

    /** The request whose prompt is the user's turn. An empty prompt stays empty, so that the engine refuses it. */
    public CompletionRequest apply(CompletionRequest request) {
        return request.prompt().isEmpty()
                ? request
                : request.withPrompt(prompt(request.prompt().toString()));
    }
}
