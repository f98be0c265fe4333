package io.llamafu.llamacpp;

import io.llamafu.engine.LabelScores;

import java.util.Optional;

/** How a sequence gets its label from the rows that are computed for it. Owned by the thread of the {@link DecodeLoop}. */
interface LabelDecoding {

    /**
     * A label that was chosen.
     *
     * @param label its index
     * @param tokens how many tokens it has beyond those of the prompt, with the end-of-generation token if that was chosen
     * @param scores empty if no probabilities are wanted
     */
    record Chosen(int label, int tokens, Optional<LabelScores> scores) {}

    /**
     * Reads the output rows of the sequence's last step, and says what is to be computed next.
     *
     * @return the label, once it is known
     * @throws io.llamafu.LlamafuException if a row is not sound, or no token can be chosen
     */
    Optional<Chosen> read(Sequence sequence, LlamaContext context, long nowNanos);
}
