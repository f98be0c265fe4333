package io.llamafu.flink.routing;

import io.llamafu.engine.SamplingOptions;
import org.apache.flink.annotation.Internal;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Converts between {@link SamplingOptions} and the form that travels with a record. */
@Internal
public final class Samplings {
    private Samplings() {}

    static RequestSampling toAvro(SamplingOptions options) {
        List<TokenBias> biases = options.logitBias().entrySet().stream()
                .map(bias -> new TokenBias(bias.getKey(), bias.getValue()))
                .toList();
        return RequestSampling.newBuilder()
                .setTemperature(options.temperature())
                .setTopK(options.topK())
                .setTopP(options.topP())
                .setMinP(options.minP())
                .setTypicalP(options.typicalP())
                .setMirostat(options.mirostat())
                .setMirostatTau(options.mirostatTau())
                .setMirostatEta(options.mirostatEta())
                .setRepeatPenalty(options.repeatPenalty())
                .setFrequencyPenalty(options.frequencyPenalty())
                .setPresencePenalty(options.presencePenalty())
                .setPenaltyLastTokens(options.penaltyLastTokens())
                .setSeed(options.seed())
                .setLogitBias(biases)
                .setGrammar(options.grammar())
                .build();
    }

    public static SamplingOptions toOptions(RequestSampling sampling) {
        Map<Integer, Float> biases = new HashMap<>();
        sampling.getLogitBias().forEach(bias -> biases.put(bias.getToken(), bias.getBias()));
        SamplingOptions.Builder options = SamplingOptions.builder()
                .temperature(sampling.getTemperature())
                .topK(sampling.getTopK())
                .topP(sampling.getTopP())
                .minP(sampling.getMinP())
                .typicalP(sampling.getTypicalP())
                .repeatPenalty(sampling.getRepeatPenalty())
                .frequencyPenalty(sampling.getFrequencyPenalty())
                .presencePenalty(sampling.getPresencePenalty())
                .penaltyLastTokens(sampling.getPenaltyLastTokens())
                .seed(sampling.getSeed())
                .logitBias(biases)
                .grammar(sampling.getGrammar());
        if (sampling.getMirostat()) {
            options.mirostat(sampling.getMirostatTau(), sampling.getMirostatEta());
        }
        return options.build();
    }
}
