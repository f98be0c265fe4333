package io.llamafu.peft;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The name of one of the two matrices of an adapted module in a PEFT file, such as {@code
 * base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight}. A state saved without {@code save_pretrained} has
 * {@code .default} before {@code .weight}.
 *
 * @param path of the module in the base, such as {@code model.layers.0.self_attn.q_proj}
 * @param isA whether it is the matrix that is applied first
 */
record LoraTensorName(String path, boolean isA) {
    private static final Pattern NAME =
            Pattern.compile("base_model\\.model\\.([A-Za-z0-9_.]{1,256})\\.lora_([AB])(?:\\.default)?\\.weight");

    private static final List<Map.Entry<String, String>> UNSUPPORTED = List.of(
            Map.entry(".lora_magnitude_vector", "llama.cpp has no DoRA"),
            Map.entry(".lora_embedding_", "token embeddings cannot be adapted"),
            Map.entry(".embed_tokens.", "token embeddings cannot be adapted"),
            Map.entry(".lm_head.", "the output layer cannot be adapted"),
            Map.entry(".modules_to_save.", "whole modules cannot be replaced"),
            Map.entry(".base_layer.", "it belongs to the base model"),
            Map.entry(".bias", "biases cannot be adapted"));

    static Optional<LoraTensorName> parse(String name) {
        Matcher matcher = NAME.matcher(name);
        return matcher.matches()
                ? Optional.of(
                        new LoraTensorName(matcher.group(1), matcher.group(2).equals("A")))
                : Optional.empty();
    }

    /** Why a tensor of this name cannot be converted, if known. */
    static Optional<String> whyUnsupported(String name) {
        return UNSUPPORTED.stream()
                .filter(entry -> name.contains(entry.getKey()))
                .map(Map.Entry::getValue)
                .findFirst();
    }
}
