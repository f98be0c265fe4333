package io.llamafu.jllama;

import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.SamplingOptions;

import java.util.Collection;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Writes requests as the JSON of llama-server's {@code /completion}, which java-llama.cpp accepts. */
final class CompletionJson {
    /** More than any logit. */
    private static final String UNWANTED_BIAS = "-1e9";

    private CompletionJson() {}

    /**
     * Writes a request, without its stop strings: java-llama.cpp does not report whether one ended an answer, so the
     * engine searches for them itself.
     *
     * @param prompt as JSON
     * @param scales of its adapters, applied to their own alpha / rank, by the position of each among the {@code --lora}
     *     arguments of the model; all others are at scale 0
     * @param slot the sequence slot that answers it
     * @param maxTokens the most tokens to generate
     * @param sequenceTokens the most tokens of a sequence, including its prompt
     * @param unwanted tokens to take only if the grammar allows no others
     */
    static String write(
            CompletionRequest request,
            String prompt,
            Map<Integer, Float> scales,
            int slot,
            int maxTokens,
            int sequenceTokens,
            Collection<Integer> unwanted) {
        SamplingOptions sampling = request.sampling().effective(sequenceTokens);
        StringBuilder json =
                new StringBuilder(prompt.length() + 600).append("{\"prompt\":").append(prompt);
        append(json, "id_slot", slot);
        append(json, "stream", true);
        append(json, "cache_prompt", true);
        append(json, "n_predict", maxTokens);
        append(json, "lora", adapters(scales));
        append(json, "samplers", samplers(sampling));
        append(json, "temperature", sampling.temperature());
        append(json, "top_k", sampling.isGreedy() ? 1 : sampling.topK());
        append(json, "top_p", sampling.topP());
        append(json, "min_p", sampling.minP());
        append(json, "typical_p", sampling.typicalP());
        append(json, "mirostat", sampling.mirostat() && !sampling.isGreedy() ? 2 : 0);
        append(json, "mirostat_tau", sampling.mirostatTau());
        append(json, "mirostat_eta", sampling.mirostatEta());
        append(json, "repeat_penalty", sampling.repeatPenalty());
        append(json, "frequency_penalty", sampling.frequencyPenalty());
        append(json, "presence_penalty", sampling.presencePenalty());
        append(json, "repeat_last_n", sampling.penaltyLastTokens());
        append(json, "seed", Integer.toUnsignedLong(sampling.seed()));
        append(json, "logit_bias", logitBias(sampling.logitBias(), unwanted));
        append(json, "grammar", text(sampling.grammar()));
        return json.append('}').toString();
    }

    private static String samplers(SamplingOptions sampling) {
        return sampling.isGreedy()
                ? "[\"penalties\",\"top_k\"]"
                : "[\"penalties\",\"top_k\",\"typ_p\",\"top_p\",\"min_p\",\"temperature\"]";
    }

    private static String adapters(Map<Integer, Float> scales) {
        return scales.entrySet().stream()
                .map(scale -> "{\"id\":%d,\"scale\":%s}".formatted(scale.getKey(), scale.getValue()))
                .collect(Collectors.joining(",", "[", "]"));
    }

    /** JSON has no infinity; {@code false} bans a token. */
    private static String logitBias(Map<Integer, Float> logitBias, Collection<Integer> unwanted) {
        Stream<String> given = logitBias.entrySet().stream().map(entry -> "[%d,%s]"
                .formatted(entry.getKey(), entry.getValue() == Float.NEGATIVE_INFINITY ? "false" : entry.getValue()));
        Stream<String> added = unwanted.stream()
                .filter(token -> !logitBias.containsKey(token))
                .map(token -> "[%d,%s]".formatted(token, UNWANTED_BIAS));
        return Stream.concat(given, added).collect(Collectors.joining(",", "[", "]"));
    }

    private static void append(StringBuilder json, String key, Object value) {
        json.append(",\"").append(key).append("\":").append(value);
    }

    /** A text as JSON. */
    static String text(String text) {
        StringBuilder json = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ') {
                json.append("\\u%04x".formatted((int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
