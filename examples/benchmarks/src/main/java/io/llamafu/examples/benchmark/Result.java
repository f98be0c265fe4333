package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;

/**
 * One line of a result.
 *
 * @param phase the JSON field {@code case}: {@code decode} or {@code prefill}
 * @param engine the engine, and how it batches
 * @param rank of the adapters; 0 without adapters
 * @param ratioToHomogeneous relative to llama.cpp's own LoRA and kernels with one adapter for all sequences, at the same
 *     number of sequences and rank
 * @param ratioToNoAdapter relative to the same engine without adapters; null if not measured
 * @param loraTimeOverLimit time that the adapters add to a decode step, relative to the time for reading their bytes
 *     once at the machine's bandwidth; null if meaningless
 * @param ratioToBatchedBench relative to {@code llama-batched-bench} on the same model; null if not run
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
record Result(
        @JsonProperty("case") String phase,
        String engine,
        String model,
        int adapters,
        int sequences,
        int rank,
        double tokensPerSecond,
        Double ratioToHomogeneous,
        Double ratioToNoAdapter,
        Double loraTimeOverLimit,
        Double ratioToBatchedBench) {
    static final String DECODE = "decode";
    static final String PREFILL = "prefill";

    @JsonIgnore
    boolean isDecode() {
        return phase.equals(DECODE);
    }
}
