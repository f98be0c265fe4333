package io.llamafu.engine;

import java.util.Map;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * What a model file says about conversations.
 *
 * @param template the chat template, in Jinja, unchecked; empty if there is none or it is longer than 1 MiB
 * @param specialTokens texts of the special tokens by the names that templates have for them, such as {@code bos_token}
 */
public record ModelChat(Optional<String> template, Map<String, String> specialTokens) {
    /** A model without a chat template. */
    public static final ModelChat NONE = new ModelChat(Optional.empty(), Map.of());

    public ModelChat {
        requireNonNull(template, "template is null");
        specialTokens = Map.copyOf(specialTokens);
    }
}
