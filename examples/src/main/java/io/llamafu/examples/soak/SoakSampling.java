package io.llamafu.examples.soak;

import io.llamafu.engine.SamplingOptions;

import javax.annotation.Nullable;
import java.util.Map;
import java.util.function.Consumer;

/** Sampling options of a record; null fields are left to the job. */
public record SoakSampling(
        @Nullable Float temperature,
        @Nullable Integer topK,
        @Nullable Float topP,
        @Nullable Float minP,
        @Nullable Float typicalP,
        @Nullable Float mirostatTau,
        @Nullable Float repeatPenalty,
        @Nullable Float frequencyPenalty,
        @Nullable Float presencePenalty,
        @Nullable Integer penaltyLastTokens,
        @Nullable Integer seed,
        @Nullable Map<Integer, Float> logitBias,
        @Nullable String grammar) {
    private static final float MIROSTAT_ETA = 0.1f;

    static SoakSampling none() {
        return new SoakSampling(null, null, null, null, null, null, null, null, null, null, null, null, null);
    }

    /** With all filters off, so that only the temperature has an effect. */
    static SoakSampling temperature(float temperature) {
        return new SoakSampling(temperature, 0, 1f, 0f, 1f, null, null, null, null, null, null, null, null);
    }

    static SoakSampling filters(int topK, float topP, float minP, float typicalP) {
        return new SoakSampling(1f, topK, topP, minP, typicalP, null, null, null, null, null, null, null, null);
    }

    static SoakSampling mirostat(float tau) {
        return new SoakSampling(1f, null, null, null, null, tau, null, null, null, null, null, null, null);
    }

    static SoakSampling penalties(float repeat, float frequency, float presence, int lastTokens) {
        return new SoakSampling(
                null, null, null, null, null, null, repeat, frequency, presence, lastTokens, null, null, null);
    }

    static SoakSampling seed(int seed) {
        return new SoakSampling(1f, null, null, null, null, null, null, null, null, null, seed, null, null);
    }

    static SoakSampling logitBias(Map<Integer, Float> logitBias) {
        return new SoakSampling(null, null, null, null, null, null, null, null, null, null, null, logitBias, null);
    }

    static SoakSampling grammar(String grammar) {
        return new SoakSampling(null, null, null, null, null, null, null, null, null, null, null, null, grammar);
    }

    SoakSampling withGrammar(String newGrammar) {
        return new SoakSampling(
                temperature,
                topK,
                topP,
                minP,
                typicalP,
                mirostatTau,
                repeatPenalty,
                frequencyPenalty,
                presencePenalty,
                penaltyLastTokens,
                seed,
                logitBias,
                newGrammar);
    }

    /** @throws io.llamafu.LlamafuException if a value is out of range */
    SamplingOptions toOptions() {
        SamplingOptions.Builder options = SamplingOptions.builder();
        ifGiven(temperature, options::temperature);
        ifGiven(topK, options::topK);
        ifGiven(topP, options::topP);
        ifGiven(minP, options::minP);
        ifGiven(typicalP, options::typicalP);
        ifGiven(mirostatTau, tau -> options.mirostat(tau, MIROSTAT_ETA));
        ifGiven(repeatPenalty, options::repeatPenalty);
        ifGiven(frequencyPenalty, options::frequencyPenalty);
        ifGiven(presencePenalty, options::presencePenalty);
        ifGiven(penaltyLastTokens, options::penaltyLastTokens);
        ifGiven(seed, options::seed);
        ifGiven(logitBias, options::logitBias);
        ifGiven(grammar, options::grammar);
        return options.build();
    }

    private static <V> void ifGiven(@Nullable V value, Consumer<V> setter) {
        if (value != null) {
            setter.accept(value);
        }
    }
}
