package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufTensor;

import java.util.List;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What an adapter file says about itself.
 *
 * @param architecture of the base it was trained for, such as {@code llama}
 * @param alpha the trained scale: the effect is alpha / rank; 0 means that it is not divided by the rank
 * @param ranks every rank in the file, ascending; usually one
 * @param targetModules the adapted modules, such as {@code attn_q}, ascending
 * @param invocationTokens the tokens from which an activated adapter (aLoRA) applies; empty for an ordinary one
 * @param parameters number of trained weights
 * @param tensorBytes bytes of weights
 */
public record AdapterInfo(
        String architecture,
        double alpha,
        List<Long> ranks,
        List<String> targetModules,
        List<Integer> invocationTokens,
        long parameters,
        long tensorBytes) {
    static final String ALPHA = "adapter.lora.alpha";

    /** For an adapter whose file is not here, or cannot be read. */
    public static final AdapterInfo NONE = new AdapterInfo("", 0, List.of(), List.of(), List.of(), 0, 0);

    private static final Pattern LAYER = Pattern.compile("^blk\\.\\d+\\.");

    public AdapterInfo {
        ranks = List.copyOf(ranks);
        targetModules = List.copyOf(targetModules);
        invocationTokens = List.copyOf(invocationTokens);
    }

    /**
     * Describes an adapter, whether or not it fits a base.
     *
     * @throws LlamafuException with {@link ErrorCode#ADAPTER_INVALID} if the architecture is missing
     */
    public static AdapterInfo of(GgufFile adapter) {
        TreeSet<Long> ranks = new TreeSet<>();
        TreeSet<String> modules = new TreeSet<>();
        for (LoraPair pair : LoraPair.of(adapter).values()) {
            pair.rank().ifPresent(ranks::add);
            modules.add(module(pair.target()));
        }
        return new AdapterInfo(
                adapter.string("general.architecture"),
                adapter.findFloat(ALPHA).orElse(0.0),
                List.copyOf(ranks),
                List.copyOf(modules),
                InvocationTokens.of(adapter),
                adapter.tensors().values().stream().collect(Collectors.summingLong(GgufTensor::elements)),
                adapter.tensorBytes());
    }

    /** The greatest rank; 0 if there is none. */
    public long rank() {
        return ranks.isEmpty() ? 0 : ranks.get(ranks.size() - 1);
    }

    /** The absolute factor of its weights at scale 1, for the smallest rank. */
    public double strength() {
        return alpha == 0 || ranks.isEmpty() ? 1 : Math.abs(alpha) / ranks.get(0);
    }

    /** {@code attn_q} for {@code blk.3.attn_q.weight}. */
    private static String module(String target) {
        String withoutLayer = LAYER.matcher(target).replaceFirst("");
        return withoutLayer.endsWith(".weight")
                ? withoutLayer.substring(0, withoutLayer.length() - ".weight".length())
                : withoutLayer;
    }
}
