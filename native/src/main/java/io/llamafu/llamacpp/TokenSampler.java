package io.llamafu.llamacpp;

import io.llamafu.engine.SamplingOptions;
import io.llamafu.grammar.GrammarSyntax;

import java.util.Map;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The sampler chain of one sequence, with its random state and its position in the grammar. */
final class TokenSampler extends NativeHandle {
    private static final int[] NONE = {};

    private final LlamaModel model;
    private final boolean hasGrammar;

    private TokenSampler(long address, LlamaModel model, boolean hasGrammar) {
        super(address);
        this.model = model;
        this.hasGrammar = hasGrammar;
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
                    model.grammars(),
                    PackedSampling.pack(options.effective(maxSequenceTokens)),
                    tokens,
                    biases,
                    options.grammar().getBytes(UTF_8));
            return new TokenSampler(address, model, !options.grammar().isEmpty());
        } catch (RuntimeException | Error e) {
            model.release();
            throw e;
        }
    }

    /**
     * The tokens that follow the last one, or begin the answer, because the grammar allows no other text. It has taken them.
     *
     * @param most none if there are more
     * @throws io.llamafu.LlamafuException with GRAMMAR_TOO_COMPLEX
     */
    int[] takeForced(int most) {
        if (!hasGrammar) {
            return NONE;
        }
        long address = acquire();
        try {
            return LlamaCpp.takeForced(address, most);
        } finally {
            release();
        }
    }

    /** Takes tokens of the answer, from an index on, that it did not choose. */
    void accept(int[] tokens, int from) {
        if (from < tokens.length) {
            LlamaCpp.acceptTokens(acquire(), tokens, from);
            release();
        }
    }

    @Override
    void free(long address) {
        LlamaCpp.freeSampler(address);
        model.release();
    }
}
