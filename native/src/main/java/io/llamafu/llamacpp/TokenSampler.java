package io.llamafu.llamacpp;

import io.llamafu.engine.SamplingOptions;
import io.llamafu.grammar.GrammarSyntax;

import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The sampler chain of one sequence, with its random state and its position in the grammar. */
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
                    PackedSampling.pack(options.effective(maxSequenceTokens)),
                    tokens,
                    biases,
                    options.grammar().getBytes(UTF_8));
            return new TokenSampler(address, model);
        } catch (RuntimeException | Error e) {
            model.release();
            throw e;
        }
    }

    @Override
    void free(long address) {
        LlamaCpp.freeSampler(address);
        model.release();
    }
}
