package io.llamafu.adapter;

import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The size of an adapter that is not there yet.
 *
 * @param pairs of matrices
 * @param memoryBytes its weights in F16
 * @param fileBytes its file, at most; counts against the budget while it is loaded
 */
public record AdapterSize(int pairs, long memoryBytes, long fileBytes) {
    /** The modules that trainings usually adapt, {@code all-linear}. */
    public static final List<String> USUAL_MODULES = List.of(
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_qkv",
            "attn_output",
            "ffn_gate",
            "ffn_up",
            "ffn_down",
            "ssm_in",
            "ssm_out");

    private static final Pattern TARGET = Pattern.compile("blk\\.\\d+\\.(.+)\\.weight");
    /** Of the metadata, and of a tensor's name, shape and padding. */
    private static final int HEADER_BYTES = 4096;

    private static final int HEADER_BYTES_OF_A_TENSOR = 128;
    /** llama.cpp aligns tensors in memory. */
    private static final int ALIGNMENT = 32;

    /**
     * Computes it from the shapes of a model.
     *
     * @param model its GGUF file, of which the header is read
     * @param modules the adapted modules, such as {@code attn_q}
     * @throws LlamafuException with MODEL_NOT_FOUND or MODEL_INVALID
     */
    public static AdapterSize of(Path model, long rank, Set<String> modules) {
        GgufFile base = GgufReader.read(model, GgufKind.MODEL);
        int pairs = 0;
        long bytes = 0;
        for (GgufTensor tensor : base.tensors().values()) {
            Matcher target = TARGET.matcher(tensor.name());
            if (target.matches() && modules.contains(target.group(1))) {
                pairs++;
                bytes += halfBytes(rank, tensor.dimension(0)) + halfBytes(rank, tensor.dimension(1));
            }
        }
        return new AdapterSize(pairs, bytes, bytes + HEADER_BYTES + 2L * pairs * HEADER_BYTES_OF_A_TENSOR);
    }

    private static long halfBytes(long rank, long width) {
        long bytes = Math.multiplyExact(Math.multiplyExact(rank, width), (long) Short.BYTES);
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}
