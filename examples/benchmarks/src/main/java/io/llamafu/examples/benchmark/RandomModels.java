package io.llamafu.examples.benchmark;

import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWriter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * Random models and adapters, generated once and kept in {@code benchmark} of the cache folder: {@code LLAMAFU_CACHE},
 * else {@code llamafu} in {@code XDG_CACHE_HOME} or {@code ~/.cache}. Models and adapters take some gigabytes.
 */
final class RandomModels {
    /** Part of the folder's name; must change with the content. */
    private static final String VERSION = "v1";

    private static final float ALPHA = 32;
    private static final float EPSILON = 1e-5f;
    /** At scale 1 an adapter adds a quarter of a base weight's contribution, like a trained one. */
    private static final double ADAPTER_STRENGTH = 0.25;

    /** The tokens from which activated adapters apply. */
    static final int[] INVOCATION = {31_990, 31_991, 31_992, 31_993};

    private final Path folder;

    RandomModels(Path folder) {
        this.folder = folder;
    }

    static RandomModels inCacheFolder() {
        return new RandomModels(cacheFolder().resolve("benchmark").resolve(VERSION));
    }

    private static Path cacheFolder() {
        String cache = System.getenv("LLAMAFU_CACHE");
        if (cache != null && !cache.isEmpty()) {
            return Path.of(cache);
        }
        String userCache = System.getenv("XDG_CACHE_HOME");
        return userCache != null && !userCache.isEmpty()
                ? Path.of(userCache, "llamafu")
                : Path.of(System.getProperty("user.home"), ".cache", "llamafu");
    }

    /** The name of the adapter with this number in its folder. */
    static String adapterName(int index) {
        return String.format(Locale.ROOT, "a%02d", index);
    }

    Path model(RandomModel model) throws IOException {
        Path path = Files.createDirectories(folder.resolve(model.title())).resolve("model.gguf");
        if (!Files.exists(path)) {
            System.err.println("Generating " + path);
            writeModel(model, path);
        }
        return path;
    }

    /** The folder with at least this many adapters of a rank. */
    Path adapters(RandomModel model, int rank, int count) throws IOException {
        Path adapters = Files.createDirectories(folder.resolve(model.title()).resolve("rank" + rank));
        for (int index = 0; index < count; index++) {
            Path path = adapters.resolve(adapterName(index) + ".gguf");
            if (!Files.exists(path)) {
                System.err.println("Generating " + path);
                adapter(model, rank, index).write(path);
            }
        }
        return adapters;
    }

    /** The folder with at least this many activated adapters (aLoRA) of a rank, which all have the same invocation. */
    Path activatedAdapters(RandomModel model, int rank, int count) throws IOException {
        Path adapters = Files.createDirectories(folder.resolve(model.title()).resolve("activated-rank" + rank));
        for (int index = 0; index < count; index++) {
            Path path = adapters.resolve(adapterName(index) + ".gguf");
            if (!Files.exists(path)) {
                System.err.println("Generating " + path);
                adapter(model, rank, index)
                        .uint32s("adapter.alora.invocation_tokens", INVOCATION)
                        .write(path);
            }
        }
        return adapters;
    }

    private static void writeModel(RandomModel model, Path path) throws IOException {
        int width = model.embeddingLength();
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", "llama")
                .string("general.name", "random " + model.title())
                .uint32("llama.context_length", RandomModel.CONTEXT_LENGTH)
                .uint32("llama.embedding_length", width)
                .uint32("llama.block_count", model.blockCount())
                .uint32("llama.feed_forward_length", model.feedForwardLength())
                .uint32("llama.attention.head_count", model.headCount())
                .uint32("llama.attention.head_count_kv", model.keyValueHeadCount())
                .uint32("llama.rope.dimension_count", width / model.headCount())
                .uint32("llama.vocab_size", RandomModel.VOCABULARY_SIZE)
                .float32("llama.attention.layer_norm_rms_epsilon", EPSILON);
        RandomVocabulary.addTo(writer, RandomModel.VOCABULARY_SIZE);

        GgufTensorType embeddings = model.type("token_embd.weight");
        GgufTensorType outputs = model.type("output.weight");
        long vocabularyElements = (long) width * RandomModel.VOCABULARY_SIZE;
        List<Long> vocabularyShape = List.of((long) width, (long) RandomModel.VOCABULARY_SIZE);
        writer.tensor(
                "token_embd.weight",
                embeddings,
                vocabularyShape,
                GgufTensorData.random(embeddings, vocabularyElements, 1, 1));
        writer.tensor("output.weight", outputs, vocabularyShape, outputWithoutEndToken(outputs, width));
        addNorm(writer, "output_norm.weight", width);
        for (int block = 0; block < model.blockCount(); block++) {
            addNorm(writer, "blk.%d.attn_norm.weight".formatted(block), width);
            addNorm(writer, "blk.%d.ffn_norm.weight".formatted(block), width);
        }
        long seed = 10;
        for (RandomModel.Projection projection : model.projections()) {
            addMatrix(
                    writer,
                    projection.name(),
                    model.type(projection.name()),
                    projection.columns(),
                    projection.rows(),
                    seed++,
                    deviation(projection.columns()));
        }
        writer.write(path);
    }

    /**
     * The row of the end token is 0, and so is its logit, while the greatest of 32,000 random logits is above 0. So it
     * is never chosen, and every answer has exactly the requested tokens, without a logit bias in the sampler.
     */
    private static GgufTensorData outputWithoutEndToken(GgufTensorType type, int width) {
        long before = (long) width * RandomVocabulary.END_TOKEN;
        long after = (long) width * (RandomModel.VOCABULARY_SIZE - RandomVocabulary.END_TOKEN - 1);
        return out -> {
            GgufTensorData.random(type, before, 2, deviation(width)).writeTo(out);
            GgufTensorData.constant(type, width, 0).writeTo(out);
            GgufTensorData.random(type, after, 3, deviation(width)).writeTo(out);
        };
    }

    private static void addNorm(GgufWriter writer, String name, int width) {
        writer.tensor(
                name, GgufTensorType.F32, List.of((long) width), GgufTensorData.constant(GgufTensorType.F32, width, 1));
    }

    private static void addMatrix(
            GgufWriter writer, String name, GgufTensorType type, int columns, int rows, long seed, double deviation) {
        writer.tensor(
                name,
                type,
                List.of((long) columns, (long) rows),
                GgufTensorData.random(type, (long) columns * rows, seed, deviation));
    }

    private static GgufWriter adapter(RandomModel model, int rank, int index) {
        GgufWriter writer = new GgufWriter()
                .string("general.type", "adapter")
                .string("general.architecture", "llama")
                .string("adapter.type", "lora")
                .float32("adapter.lora.alpha", ALPHA);
        double strength = ADAPTER_STRENGTH / (ALPHA / rank);
        long seed = 1_000_000L * (index + 1);
        for (RandomModel.Projection projection : model.projections()) {
            GgufTensorType type = GgufTensorType.F16;
            String name = projection.name();
            addMatrix(
                    writer,
                    name + ".lora_a",
                    type,
                    projection.columns(),
                    rank,
                    seed++,
                    deviation(projection.columns()));
            addMatrix(writer, name + ".lora_b", type, rank, projection.rows(), seed++, strength * deviation(rank));
        }
        return writer;
    }

    /** Preserves the magnitude of activations from layer to layer. */
    private static double deviation(int columns) {
        return 1 / Math.sqrt(columns);
    }
}
