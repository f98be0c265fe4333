package io.llamafu.engine;

/** A snapshot of an engine. Counters start when the engine is opened; the other values are current. */
public record EngineMetrics(
        Requests requests, Decoding decoding, Sequences sequences, Adapters adapters, Memory memory) {

    /**
     * What was asked.
     *
     * @param submitted all requests
     * @param completed requests answered with a text
     * @param failed requests answered with a coded error
     * @param memoHits requests answered from the memo
     * @param waiting requests without a sequence slot
     */
    public record Requests(long submitted, long completed, long failed, long memoHits, int waiting) {}

    /**
     * What the model computed.
     *
     * @param promptTokens prompt tokens prefilled
     * @param cachedPromptTokens prompt tokens taken from earlier prompts; 0 if unknown
     * @param prefixHits prompts that began with such tokens; 0 if unknown
     * @param generatedTokens tokens sampled
     * @param steps calls of the model; 0 if unknown
     */
    public record Decoding(
            long promptTokens, long cachedPromptTokens, long prefixHits, long generatedTokens, long steps) {}

    /**
     * The slots and their key-value cells.
     *
     * @param active sequences being prefilled or decoded
     * @param most the most sequences at a time
     * @param reservedCells cells reserved by the active sequences
     * @param usedCells how many of the reserved cells hold a token; 0 if unknown
     * @param contextCells all cells
     */
    public record Sequences(int active, int most, long reservedCells, long usedCells, long contextCells) {}

    /**
     * The adapters in memory.
     *
     * @param resident how many there are
     * @param loads files loaded
     * @param evictions adapters evicted; 0 if unknown
     * @param failures loads that failed; 0 if unknown
     * @param budget the most bytes they may take; 0 is no limit
     */
    public record Adapters(int resident, long loads, long evictions, long failures, long budget) {}

    /**
     * Bytes by purpose.
     *
     * @param model weights
     * @param context key-value cache
     * @param compute scratch buffers of a decode step
     * @param adapters LoRA weights in memory
     */
    public record Memory(long model, long context, long compute, long adapters) {
        public long total() {
            return model + context + compute + adapters;
        }
    }
}
