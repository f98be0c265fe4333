package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;

/**
 * One line of a result.
 *
 * @param phase the JSON field {@code case}: {@code decode} or {@code prefill}
 * @param engine which engine, and how it batches
 * @param rank of the adapters; 0 without one
 * @param ratioToHomogeneous to one adapter for all sequences by llama.cpp's own way, with the same sequences and rank
 * @param ratioToNoAdapter to the base model alone; null where it was not measured
 * @param loraTimeOverLimit milliseconds that the adapters add to a decode step, over those that reading their bytes once
 *     takes at the machine's bandwidth; null where it says nothing
 * @param ratioToBatchedBench to {@code llama-batched-bench} on the same model; null where it was not run
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
