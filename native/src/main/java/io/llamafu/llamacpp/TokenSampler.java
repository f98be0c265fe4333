package io.llamafu.llamacpp;

import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.support.GrammarSyntax;

import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The sampler chain of one sequence, with its random state and its place in the grammar. */
final class TokenSampler extends NativeHandle {
    private final LlamaModel model;

    private TokenSampler(long address, LlamaModel model) {
        super(address);
        this.model = model;
    }

    /**
     * Builds the chain; parses the grammar.
     *
     * @throws io.llamafu.LlamafuException with INVALID_GRAMMAR or INVALID_OPTION
     */
    static TokenSampler create(LlamaModel model, SamplingOptions options, int maxSequenceTokens) {
        if (!options.grammar().isEmpty()) {
            GrammarSyntax.check(options.grammar(), GrammarSyntax.Version.V0_5_0);
        }
        int[] tokens = new int[options.logitBias().size()];
        float[] biases = new float[tokens.length];
        int next = 0;
        for (Map.Entry<Integer, Float> bias : options.logitBias().entrySet()) {
            tokens[next] = bias.getKey();
            biases[next++] = bias.getValue();
        }
        long modelAddress = model.acquire();
        try {
            long address = LlamaCpp.createSampler(
                    modelAddress,
                    options.isGreedy() ? 0 : options.temperature(),
                    options.topK(),
                    options.topP(),
                    options.minP(),
                    options.typicalP(),
                    options.mirostat(),
                    options.mirostatTau(),
                    options.mirostatEta(),
                    options.repeatPenalty(),
                    options.frequencyPenalty(),
                    options.presencePenalty(),
                    recentTokens(options, maxSequenceTokens),
                    options.fixedSeed(),
                    tokens,
                    biases,
                    options.grammar().getBytes(UTF_8));
            return new TokenSampler(address, model);
        } catch (RuntimeException | Error e) {
            model.release();
            throw e;
        }
    }

    /** llama.cpp reserves memory for as many as it is told. */
    private static int recentTokens(SamplingOptions options, int maxSequenceTokens) {
        int recent = options.penaltyLastTokens();
        return recent < 0 ? maxSequenceTokens : Math.min(recent, maxSequenceTokens);
    }

    @Override
    void free(long address) {
        LlamaCpp.freeSampler(address);
        model.release();
    }
}
