package io.llamafu.engine;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.io.Serializable;
import java.util.Map;

import static java.util.Objects.requireNonNull;

/**
 * How the next token is chosen. The samplers are llama.cpp's and run in this order: logit bias, penalties, then (unless
 * greedy) top-k, typical, top-p, min-p and temperature, or Mirostat v2 in place of those four. If the grammar forbids the
 * choice, it is made again among the tokens that the grammar allows, as llama.cpp's own server does.
 *
 * @param temperature 0 is greedy decoding, which is deterministic; higher is more random. Below
 *     {@link #LEAST_TEMPERATURE} it is greedy decoding too
 * @param topK keep the k likeliest tokens; 0 keeps all
 * @param topP keep the smallest set of tokens whose probability sums to p, in (0, 1]; 1 keeps all
 * @param minP drop tokens less likely than minP times the likeliest, in [0, 1); 0 keeps all
 * @param typicalP locally typical sampling, in (0, 1]; 1 is off
 * @param mirostat whether Mirostat v2 steers the entropy instead of top-k, typical, top-p and min-p
 * @param mirostatTau Mirostat's target surprise, in bits; above 0, at most 1,000
 * @param mirostatEta Mirostat's learning rate; above 0, at most 1,000
 * @param repeatPenalty divides the logits of recent tokens; from 0.001 to 1,000, 1 is off
 * @param frequencyPenalty subtracted from the logit of a token once per recent occurrence; from -1,000 to 1,000, 0 is off
 * @param presencePenalty subtracted from the logit of each recent token once; from -1,000 to 1,000, 0 is off
 * @param penaltyLastTokens how many generated tokens count as recent; 0 is off, -1 or more than a sequence holds is the
 *     whole sequence
 * @param seed seed of the random choice, any number; -1 means -2, because llama.cpp chooses a random seed for -1. The
 *     same seed repeats an answer as far as the logits repeat; their last bits depend on the other rows of the batch
 * @param logitBias added to the logits of these token ids; negative infinity bans a token
 * @param grammar GBNF grammar with a {@code root} rule that the answer must follow; empty for none
 */
public record SamplingOptions(
        float temperature,
        int topK,
        float topP,
        float minP,
        float typicalP,
        boolean mirostat,
        float mirostatTau,
        float mirostatEta,
        float repeatPenalty,
        float frequencyPenalty,
        float presencePenalty,
        int penaltyLastTokens,
        int seed,
        Map<Integer, Float> logitBias,
        String grammar)
        implements Serializable {

    /** At this temperature a token whose logit is 0.01 below the largest has a probability of e^-100. */
    public static final float LEAST_TEMPERATURE = 1e-4f;

    private static final float MOST = 1000;

    private static final SamplingOptions GREEDY = builder().build();

    public SamplingOptions {
        require(temperature >= 0 && Float.isFinite(temperature), "temperature", temperature, "0 or more");
        require(topK >= 0, "top-k", topK, "0 (all tokens) or more");
        require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
        require(minP >= 0 && minP < 1, "min-p", minP, "at least 0 and below 1");
        require(typicalP > 0 && typicalP <= 1, "typical-p", typicalP, "above 0 and at most 1");
        require(mirostatTau > 0 && mirostatTau <= MOST, "mirostat-tau", mirostatTau, "above 0 and at most 1000");
        require(mirostatEta > 0 && mirostatEta <= MOST, "mirostat-eta", mirostatEta, "above 0 and at most 1000");
        require(
                repeatPenalty >= 1 / MOST && repeatPenalty <= MOST,
                "repeat-penalty",
                repeatPenalty,
                "from 0.001 to 1000");
        require(Math.abs(frequencyPenalty) <= MOST, "frequency-penalty", frequencyPenalty, "from -1000 to 1000");
        require(Math.abs(presencePenalty) <= MOST, "presence-penalty", presencePenalty, "from -1000 to 1000");
        require(penaltyLastTokens >= -1, "penalty-last-tokens", penaltyLastTokens, "-1 (all), 0 (off) or more");
        logitBias = Map.copyOf(logitBias);
        logitBias.forEach((token, bias) -> {
            require(token >= 0, "logit-bias token", token, "a token id");
            require(
                    !Float.isNaN(bias) && bias != Float.POSITIVE_INFINITY,
                    "logit-bias",
                    bias,
                    "a number below infinity");
        });
        requireNonNull(grammar, "grammar is null");
    }

    private static void require(boolean condition, String option, Object value, String range) {
        if (!condition) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION, "%s is %s, but must be %s.".formatted(option, value, range));
        }
    }

    /** Whether the likeliest token is always chosen. */
    public boolean isGreedy() {
        return temperature < LEAST_TEMPERATURE;
    }

    /**
     * The same options in the form that llama.cpp needs: temperature 0 for greedy decoding, no seed of -1, which it would
     * replace by a random one, and no more recent tokens than a sequence holds, because it reserves memory for each.
     */
    public SamplingOptions effective(int sequenceTokens) {
        return new Builder(this)
                .temperature(isGreedy() ? 0 : temperature)
                .seed(seed == -1 ? -2 : seed)
                .penaltyLastTokens(penaltyLastTokens < 0 ? sequenceTokens : Math.min(penaltyLastTokens, sequenceTokens))
                .build();
    }

    /** Greedy decoding without penalties, bias or grammar. */
    public static SamplingOptions greedy() {
        return GREEDY;
    }

    /** The same options with another grammar. */
    public SamplingOptions withGrammar(String newGrammar) {
        return new Builder(this).grammar(newGrammar).build();
    }

    /** Starts from greedy decoding. */
    public static Builder builder() {
        return new Builder();
    }

    /** Mutable and not thread-safe. Ranges are checked by {@link #build()}. */
    public static final class Builder {
        private float temperature = 0;
        private int topK = 40;
        private float topP = 0.95f;
        private float minP = 0.05f;
        private float typicalP = 1;
        private boolean mirostat = false;
        private float mirostatTau = 5;
        private float mirostatEta = 0.1f;
        private float repeatPenalty = 1;
        private float frequencyPenalty = 0;
        private float presencePenalty = 0;
        private int penaltyLastTokens = 64;
        private int seed = 0;
        private Map<Integer, Float> logitBias = Map.of();
        private String grammar = "";

        private Builder() {}

        private Builder(SamplingOptions options) {
            temperature = options.temperature;
            topK = options.topK;
            topP = options.topP;
            minP = options.minP;
            typicalP = options.typicalP;
            mirostat = options.mirostat;
            mirostatTau = options.mirostatTau;
            mirostatEta = options.mirostatEta;
            repeatPenalty = options.repeatPenalty;
            frequencyPenalty = options.frequencyPenalty;
            presencePenalty = options.presencePenalty;
            penaltyLastTokens = options.penaltyLastTokens;
            seed = options.seed;
            logitBias = options.logitBias;
            grammar = options.grammar;
        }

        public Builder temperature(float temperature) {
            this.temperature = temperature;
            return this;
        }

        public Builder topK(int topK) {
            this.topK = topK;
            return this;
        }

        public Builder topP(float topP) {
            this.topP = topP;
            return this;
        }

        public Builder minP(float minP) {
            this.minP = minP;
            return this;
        }

        public Builder typicalP(float typicalP) {
            this.typicalP = typicalP;
            return this;
        }

        public Builder mirostat(float tau, float eta) {
            this.mirostat = true;
            this.mirostatTau = tau;
            this.mirostatEta = eta;
            return this;
        }

        public Builder repeatPenalty(float repeatPenalty) {
            this.repeatPenalty = repeatPenalty;
            return this;
        }

        public Builder frequencyPenalty(float frequencyPenalty) {
            this.frequencyPenalty = frequencyPenalty;
            return this;
        }

        public Builder presencePenalty(float presencePenalty) {
            this.presencePenalty = presencePenalty;
            return this;
        }

        public Builder penaltyLastTokens(int penaltyLastTokens) {
            this.penaltyLastTokens = penaltyLastTokens;
            return this;
        }

        public Builder seed(int seed) {
            this.seed = seed;
            return this;
        }

        public Builder logitBias(Map<Integer, Float> logitBias) {
            this.logitBias = requireNonNull(logitBias, "logitBias is null");
            return this;
        }

        public Builder grammar(String grammar) {
            this.grammar = requireNonNull(grammar, "grammar is null");
            return this;
        }

        public SamplingOptions build() {
            return new SamplingOptions(
                    temperature,
                    topK,
                    topP,
                    minP,
                    typicalP,
                    mirostat,
                    mirostatTau,
                    mirostatEta,
                    repeatPenalty,
                    frequencyPenalty,
                    presencePenalty,
                    penaltyLastTokens,
                    seed,
                    logitBias,
                    grammar);
        }
    }
}
