package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineMetrics;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The key-value cache and compute buffers of a model, with separate cells for each sequence. Owned by one thread,
 * except for {@link #abort}.
 */
final class LlamaContext extends NativeHandle {
    private final LlamaModel model;
    private final long address;
    private final DecodeBatch batch;
    private final SamplingRound round;
    private final boolean mixed;

    /** An adapter in use and its scale. */
    record ScaledAdapter(LlamaAdapter adapter, float scale) {}

    private LlamaContext(LlamaModel model, long address, DecodeBatch batch, SamplingRound round, boolean mixed) {
        super(address);
        this.model = model;
        this.address = address;
        this.batch = batch;
        this.round = round;
        this.mixed = mixed;
    }

    /**
     * Creates a context.
     *
     * @param mixed whether each sequence has its own adapters; otherwise {@link #setAdapters} sets them for all
     * @param deterministic whether the bits of a row must not depend on the other rows of its batch
     * @throws LlamafuException with OUT_OF_MEMORY, MODEL_LOAD_FAILED, or INVALID_OPTION for a model that cannot be
     *     deterministic
     */
    static LlamaContext create(
            LlamaModel model,
            int cellsPerSequence,
            int maxSequences,
            int batchSize,
            int threads,
            boolean mixed,
            boolean deterministic) {
        DecodeBatch batch = new DecodeBatch(batchSize);
        SamplingRound round = new SamplingRound(maxSequences);
        long modelAddress = model.acquire();
        try {
            long address = LlamaCpp.createContext(
                    modelAddress,
                    cellsPerSequence,
                    maxSequences,
                    batchSize,
                    threads,
                    mixed,
                    deterministic,
                    batch.memory(),
                    round.memory());
            batch.limitOutputs(LlamaCpp.mostOutputs(address));
            return new LlamaContext(model, address, batch, round, mixed);
        } catch (RuntimeException | Error e) {
            model.release();
            throw e;
        }
    }

    DecodeBatch batch() {
        return batch;
    }

    SamplingRound round() {
        return round;
    }

    boolean isMixed() {
        return mixed;
    }

    /**
     * Computes the rows of {@link #batch()}.
     *
     * @return false if {@link #abort} stopped it; the cells of its sequences are then in an unknown state
     */
    boolean decode() {
        int code = LlamaCpp.decode(address, batch.rows());
        return switch (DecodeStatus.of(code)) {
            case DONE -> true;
            case ABORTED -> false;
            case NO_FREE_CELLS -> throw decodeFailed(code, ": no free key-value cells");
            case FAILED -> throw decodeFailed(code, "");
        };
    }

    private LlamafuException decodeFailed(int code, String reason) {
        return new LlamafuException(
                ErrorCode.ENGINE_FAILED,
                "llama.cpp could not decode a batch of %d tokens (status %d)%s.".formatted(batch.rows(), code, reason));
    }

    /** Samples the rows of {@link #round()}; returns the failures of the rows with token -1, in their order. */
    List<LlamafuException> sample() {
        byte[] failures = LlamaCpp.sample(address, round.rows());
        return failures == null ? List.of() : failures(new String(failures, UTF_8));
    }

    /**
     * Chooses among some tokens, with all options of the sampler but its grammar.
     *
     * @param logits gets the logits of the candidates, in their order
     * @return one of the candidates
     * @throws LlamafuException with NON_FINITE_LOGITS, or ENGINE_FAILED if the options leave none
     */
    int choose(TokenSampler sampler, int batchRow, int[] candidates, float[] logits) {
        long samplerAddress = sampler.acquire();
        try {
            return LlamaCpp.choose(address, samplerAddress, batchRow, candidates, logits);
        } finally {
            sampler.release();
        }
    }

    /**
     * The logarithms of the probabilities that the model gives to some tokens, among all of its vocabulary.
     *
     * @throws LlamafuException with NON_FINITE_LOGITS
     */
    float[] logProbabilities(int batchRow, int[] tokens) {
        return LlamaCpp.logProbabilities(address, batchRow, tokens);
    }

    /** The logits of a row of the last batch whose output was wanted. Copies them all: for tests and reports. */
    float[] logits(int batchRow) {
        return LlamaCpp.logits(address, batchRow);
    }

    /** Splits at line feeds only; {@link String#lines} would also split at a carriage return inside a message. */
    static List<LlamafuException> failures(String lines) {
        return Arrays.stream(lines.split("\n")).map(LlamaContext::failure).toList();
    }

    private static LlamafuException failure(String line) {
        int space = line.indexOf(' ');
        return new LlamafuException(ErrorCode.valueOf(line.substring(0, space)), line.substring(space + 1));
    }

    /** Aborts a running {@link #decode} and every later one. Any thread may call it while the context is in use. */
    void abort() {
        LlamaCpp.abort(acquire());
        release();
    }

    /**
     * Removes the cells of a sequence from a position on. Returns false, and removes nothing, if the rest could not be
     * continued: it has a state that cannot go back, or layers with a window have lost the tokens before the position.
     */
    boolean removeCells(int sequence, int fromPosition) {
        return LlamaCpp.removeCells(address, sequence, fromPosition);
    }

    /**
     * Keeps the first cells of a sequence and removes the others.
     *
     * @return how many were kept: {@code count}, or none if the sequence cannot be continued after that many
     */
    int keepCells(int sequence, int count) {
        if (removeCells(sequence, count)) {
            return count;
        }
        removeCells(sequence, 0);
        return 0;
    }

    /** What the memory of the model permits. */
    PrefixCache.Sharing sharing() {
        return switch (LlamaCpp.cellSharing(address)) {
            case 0 -> PrefixCache.Sharing.IN_PLACE;
            case 1 -> PrefixCache.Sharing.COPIES;
            default -> PrefixCache.Sharing.PARKED;
        };
    }

    /**
     * Replaces the cells of a sequence by the first of another. Returns false, and changes nothing, if the rest could not be
     * continued, see {@link #removeCells}.
     */
    boolean copyCells(int source, int target, int count) {
        return LlamaCpp.copyCells(address, source, target, count);
    }

    /**
     * Copies the first cells of a sequence to cells from {@code first} on of another, which must be unused. Returns false, and
     * the copy is worthless, if a value is not finite: attention may read it in other sequences.
     */
    boolean parkCells(int source, int count, int holder, int first) {
        return LlamaCpp.parkCells(address, source, count, holder, first);
    }

    /** Replaces the cells of a sequence by parked ones. */
    void unparkCells(int holder, int first, int[] tokens, int target) {
        LlamaCpp.unparkCells(address, holder, first, tokens, target);
    }

    /** Sets the adapters of all sequences. */
    void setAdapters(List<ScaledAdapter> adapters) {
        LlamaCpp.setContextAdapters(address, addresses(adapters), scales(adapters));
    }

    /** Sets the adapters of one sequence. */
    void setAdapters(int sequence, List<ScaledAdapter> adapters) {
        LlamaCpp.setSequenceAdapters(address, sequence, addresses(adapters), scales(adapters));
    }

    /** Forgets an unused adapter before it is freed. */
    void releaseAdapter(LlamaAdapter adapter) {
        LlamaCpp.releaseAdapter(address, adapter.acquire());
        adapter.release();
    }

    /** Why adapters of a tensor of the model cannot be applied; empty if they can be. */
    Function<String, Optional<String>> refusals() {
        Map<String, String> products = new String(LlamaCpp.products(address), UTF_8)
                .lines()
                .map(line -> line.split(" ", 2))
                .collect(Collectors.toUnmodifiableMap(parts -> parts[0], parts -> parts[1]));
        return tensor -> Optional.of(products.getOrDefault(tensor, "not multiplied by the model"))
                .filter(refusal -> !refusal.isEmpty());
    }

    /** The memory of the context and its model, without adapters. */
    EngineMetrics.Memory memory() {
        long[] bytes = LlamaCpp.memory(address);
        return new EngineMetrics.Memory(bytes[0], bytes[1], bytes[2], 0);
    }

    private static long[] addresses(List<ScaledAdapter> adapters) {
        return adapters.stream()
                .mapToLong(scaled -> {
                    // the caller holds a lease of the adapter, so its address stays valid
                    long adapterAddress = scaled.adapter().acquire();
                    scaled.adapter().release();
                    return adapterAddress;
                })
                .toArray();
    }

    private static float[] scales(List<ScaledAdapter> adapters) {
        float[] scales = new float[adapters.size()];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = adapters.get(i).scale();
        }
        return scales;
    }

    @Override
    void free(long contextAddress) {
        LlamaCpp.freeContext(contextAddress);
        model.release();
    }
}
