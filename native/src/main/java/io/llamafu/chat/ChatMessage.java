package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.regex.Pattern;

import static java.util.Objects.requireNonNull;

/**
 * A turn of a conversation.
 *
 * @param role who speaks. Templates make control tokens of it, so it must not come from a record
 * @param content what is said; no control string in it becomes a control token
 */
public record ChatMessage(String role, String content) {
    private static final Pattern ROLE = Pattern.compile("[a-z][a-z_]{0,31}");

    public ChatMessage {
        requireNonNull(role, "role is null");
        requireNonNull(content, "content is null");
        if (!ROLE.matcher(role).matches()) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "The role of a message is '%s', but must be a word like system, user or assistant."
                            .formatted(role));
        }
    }

    public static ChatMessage system(String content) {
        return new ChatMessage("system", content);
    }

    public static ChatMessage user(String content) {
        return new ChatMessage("user", content);
    }

    public static ChatMessage assistant(String content) {
        return new ChatMessage("assistant", content);
    }
}
