package io.llamafu.engine;

/**
 * A snapshot of an engine. Counters start when the engine is opened; the other values are current.
 *
 * @param requests requests submitted
 * @param completions requests answered with a text
 * @param errors requests answered with a coded error
 * @param promptTokens prompt tokens prefilled
 * @param cachedPromptTokens prompt tokens taken from earlier prompts; 0 if unknown
 * @param prefixHits prompts that began with such tokens; 0 if unknown
 * @param generatedTokens tokens sampled
 * @param decodeSteps calls of the model
 * @param waitingRequests requests without a sequence slot
 * @param activeSequences sequences being prefilled or decoded
 * @param parallelSequences the most sequences at a time
 * @param reservedCells key-value cells reserved by the active sequences
 * @param usedCells how many of the reserved cells hold a token; 0 if unknown
 * @param contextCells all key-value cells
 * @param residentAdapters adapters in memory
 * @param adapterLoads adapter files loaded
 * @param adapterEvictions adapters evicted from memory; 0 if unknown
 * @param adapterFailures loads that failed; 0 if unknown
 * @param memoHits requests answered from the memo
 * @param adapterBudget the most bytes of adapters in memory; 0 is no limit
 * @param memory bytes in use, by purpose
 */
public record EngineMetrics(
        long requests,
        long completions,
        long errors,
        long promptTokens,
        long cachedPromptTokens,
        long prefixHits,
        long generatedTokens,
        long decodeSteps,
        int waitingRequests,
        int activeSequences,
        int parallelSequences,
        long reservedCells,
        long usedCells,
        long contextCells,
        int residentAdapters,
        long adapterLoads,
        long adapterEvictions,
        long adapterFailures,
        long memoHits,
        long adapterBudget,
        Memory memory) {

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
