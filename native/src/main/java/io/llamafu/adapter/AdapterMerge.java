package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.gguf.GgufBlocks;
import io.llamafu.gguf.GgufFile;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.gguf.GgufTensor;
import io.llamafu.gguf.GgufTensorData;
import io.llamafu.gguf.GgufTensorType;
import io.llamafu.gguf.GgufWeights;
import io.llamafu.gguf.GgufWriter;
import io.llamafu.gguf.ModelFile;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static java.util.Objects.requireNonNull;

/**
 * Merges the adapters of a stack into one adapter, which at scale 1 changes the model as the stack does.
 *
 * <pre>{@code
 * AdapterMerge.merge(
 *         AdapterStack.parse("medical:0.8+formal:0.5"),
 *         LocalAdapters.of(Path.of("adapters")),
 *         Path.of("base.gguf"),
 *         Path.of("adapters/formal-medical.gguf"),
 *         GgufTensorType.F16);
 * }</pre>
 *
 * <p>The sum of two adapters is one of the summed rank, {@code B1 A1 + B2 A2 = [B1 B2] [A1; A2]}: for each matrix, the
 * rows of the A are joined, and the columns of the B. A file has one alpha, so each B is multiplied by what its
 * adapter's scale and alpha / rank are relative to the strongest, whose weights are kept. Weights are read and written
 * in parts.
 */
public final class AdapterMerge {
    /** The greatest rank of a matrix in a merged adapter. */
    public static final int MOST_RANK = 4096;

    private static final String MERGED_FROM = "llamafu.merged_from";
    private static final String BASE_NAME = "general.base_model.0.name";
    private static final int MOST_DIGEST_CHARACTERS = 12;

    /**
     * A merged adapter.
     *
     * @param card written beside the file; says what was merged
     * @param notes sentences about adapters that were left out or may not belong together
     */
    public record Merged(AdapterOutput.Published published, AdapterCard card, List<String> notes) {
        public Merged {
            requireNonNull(published, "published is null");
            requireNonNull(card, "card is null");
            notes = List.copyOf(notes);
        }
    }

    /**
     * An adapter of the stack.
     *
     * @param alpha 0 if its weights are not divided by the rank
     * @param trainedOn the model that it names as its base, if any
     */
    private record Source(AdapterFile file, GgufFile gguf, float scale, double alpha, Optional<String> trainedOn) {
        /** The factor of {@code B A} in the stack. */
        double factor(LoraPair pair) {
            return alpha == 0 ? scale : scale * alpha / pair.rank().orElseThrow();
        }

        String name() {
            return file.name();
        }

        String text() {
            return name() + ":" + scale;
        }
    }

    /** The pair of one adapter for a matrix. */
    private record Part(Source source, LoraPair pair) {
        long rank() {
            return pair.rank().orElseThrow();
        }
    }

    private final GgufFile base;
    private final GgufTensorType type;
    private final List<Source> sources = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    private AdapterMerge(GgufFile base, GgufTensorType type) {
        this.base = base;
        this.type = type;
    }

    /**
     * Merges a stack. The output and its card, {@code NAME.json} beside it, appear or replace existing files only when
     * they are complete and checked.
     *
     * @param model the GGUF model that the adapters are for
     * @param out the file to write, in an existing folder; must not be one of the inputs
     * @param type F16 or F32
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if the stack has no effect, or its scales or
     *     ranks are too large for one adapter; {@link ErrorCode#ADAPTER_NOT_FOUND} if an adapter is missing or was
     *     replaced meanwhile; {@link ErrorCode#ADAPTER_INVALID} or {@link ErrorCode#ADAPTER_INCOMPATIBLE} if one cannot
     *     be used with the model; {@link ErrorCode#MODEL_NOT_FOUND} or {@link ErrorCode#MODEL_INVALID}; and {@link
     *     ErrorCode#INVALID_OPTION} if the output is an input or cannot be written
     */
    public static Merged merge(AdapterStack stack, LocalAdapters adapters, Path model, Path out, GgufTensorType type) {
        requireNonNull(out, "out is null");
        requireNoOtherFile(out);
        if (type != GgufTensorType.F16 && type != GgufTensorType.F32) {
            throw new IllegalArgumentException("Merged adapters are written as F16 or F32, not as " + type);
        }
        if (stack.isBase()) {
            throw invalid(
                    "The stack is empty, so there is nothing to merge; name adapters, as in 'medical:0.8+formal:0.5'.");
        }
        AdapterMerge merge = new AdapterMerge(ModelFile.read(model).gguf(), type);
        AdapterCatalog.Threads caller = new AdapterCatalog.Threads(Runnable::run, Runnable::run, () -> {});
        try (AdapterCatalog catalog = new AdapterCatalog(adapters.open(), Duration.ZERO, caller, name -> {});
                AdapterCatalog.OpenStack open = open(catalog, stack)) {
            List<AdapterFile> files = open.files();
            AdapterOutput.requireNoInput(
                    out,
                    Stream.concat(Stream.of(model), files.stream().map(AdapterFile::path))
                            .toList());
            for (int place = 0; place < files.size(); place++) {
                merge.add(stack.entries().get(place), files.get(place));
            }
            return merge.write(stack, out);
        }
    }

    /** The card replaces that of an earlier adapter, but nothing else. */
    private static void requireNoOtherFile(Path out) {
        Path card = LocalAdapters.besides(out);
        if (Files.exists(card) && !isCard(card, LocalAdapters.stem(out))) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "The card would be '%s', which exists and is no adapter card; name another output."
                            .formatted(card));
        }
    }

    private static boolean isCard(Path file, String adapter) {
        try {
            return Files.isRegularFile(file) && AdapterCard.read(Optional.of(file), adapter) != null;
        } catch (IOException | LlamafuException e) {
            return false;
        }
    }

    /** Does not wait, because local adapters are looked up and read on this thread. */
    private static AdapterCatalog.OpenStack open(AdapterCatalog catalog, AdapterStack stack) {
        try {
            return catalog.open(stack, file -> true).join();
        } catch (CompletionException e) {
            throw LlamafuException.of(e, ErrorCode.ADAPTER_LOAD_FAILED, "An adapter could not be opened");
        }
    }

    private void add(AdapterStack.Entry entry, AdapterFile file) {
        file.requireSound();
        GgufFile gguf = GgufReader.read(file.path(), GgufKind.ADAPTER);
        CompatibilityReport report = AdapterCompatibility.check(base, gguf);
        report.requireCompatible(file.name());
        AdapterInfo info = AdapterInfo.of(gguf);
        if (!info.invocationTokens().isEmpty()) {
            throw invalid(
                    "'%s' is an activated LoRA (aLoRA), which applies only from its invocation on, so it cannot be merged; leave it out of the stack."
                            .formatted(file.name()));
        }
        float scale = file.scaleOf(entry);
        if (scale == 0) {
            notes.add("'%s' has the scale 0 and was left out.".formatted(file.name()));
        } else {
            sources.add(new Source(file, gguf, scale, info.alpha(), report.trainedOn()));
        }
    }

    private Merged write(AdapterStack stack, Path out) {
        if (sources.isEmpty()) {
            throw invalid(
                    "Every scale of the stack '%s' is 0, so there is nothing to merge; raise one.".formatted(stack));
        }
        noteDifferentBases();
        Map<String, List<Part>> parts = parts();
        float alpha = alpha(parts);
        AdapterCard card = new AdapterCard(description(), 1, List.of());
        Map<String, GgufWeights> weights = new LinkedHashMap<>();
        try {
            sources.forEach(source -> weights.put(source.name(), GgufWeights.open(source.gguf())));
            GgufWriter writer = header(LocalAdapters.stem(out), alpha);
            parts.values().forEach(list -> addTensors(writer, list, alpha, weights));
            AdapterOutput.Published published = AdapterOutput.publish(out, Optional.of(base), file -> {
                writer.write(file);
                sources.forEach(source -> source.file().requireUnchanged());
                AdapterOutput.write(LocalAdapters.besides(out), card.json());
            });
            return new Merged(published, card, notes);
        } finally {
            weights.values().forEach(GgufWeights::close);
        }
    }

    private void noteDifferentBases() {
        TreeSet<String> names = sources.stream()
                .flatMap(source -> source.trainedOn().stream())
                .collect(Collectors.toCollection(TreeSet::new));
        if (names.size() > 1) {
            notes.add("The adapters name different models that they were trained on: %s."
                    .formatted(String.join(", ", names)));
        }
    }

    /** The pairs of all adapters for each matrix, in the order of the model. */
    private Map<String, List<Part>> parts() {
        Map<String, List<Part>> parts = new LinkedHashMap<>();
        base.tensors().keySet().forEach(target -> parts.put(target, new ArrayList<>()));
        for (Source source : sources) {
            LoraPair.of(source.gguf()).values().forEach(pair -> parts.get(pair.target())
                    .add(new Part(source, pair)));
        }
        parts.values().removeIf(List::isEmpty);
        parts.forEach((target, list) -> {
            if (rank(list) > MOST_RANK) {
                throw invalid("%s would have rank %d, but a merged adapter has at most %d; merge fewer adapters."
                        .formatted(target, rank(list), MOST_RANK));
            }
        });
        return parts;
    }

    private static long rank(List<Part> parts) {
        return parts.stream().mapToLong(Part::rank).sum();
    }

    /** With this alpha, no B is multiplied by more than 1. */
    private static float alpha(Map<String, List<Part>> parts) {
        double most = 0;
        for (List<Part> list : parts.values()) {
            for (Part part : list) {
                most = Math.max(most, Math.abs(part.source().factor(part.pair())) * rank(list));
            }
        }
        float alpha = (float) most;
        alpha = alpha < most ? Math.nextUp(alpha) : alpha;
        if (alpha > WeightScan.MOST) {
            throw invalid(
                    "The merged adapter would have alpha %s, but at most %d is possible; lower the scales of the stack."
                            .formatted(alpha, WeightScan.MOST));
        }
        return alpha;
    }

    private GgufWriter header(String name, float alpha) {
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", base.string("general.architecture"))
                .string("general.type", "adapter")
                .string("general.name", name)
                .string("adapter.type", "lora")
                .float32(AdapterInfo.ALPHA, alpha)
                .strings(
                        MERGED_FROM,
                        sources.stream()
                                .map(source ->
                                        source.text() + " " + source.file().digest())
                                .toList());
        List<String> trainedOn = sources.stream()
                .flatMap(source -> source.trainedOn().stream())
                .distinct()
                .toList();
        if (trainedOn.size() == 1) {
            writer.uint32("general.base_model.count", 1).string(BASE_NAME, trainedOn.get(0));
        }
        return writer;
    }

    private String description() {
        String description = sources.stream()
                .map(source -> "%s (sha256 %s)"
                        .formatted(source.text(), source.file().digest().substring(0, MOST_DIGEST_CHARACTERS)))
                .collect(Collectors.joining(" + ", "Merged from ", ""));
        return description.substring(0, Math.min(AdapterCard.MOST_DESCRIPTION_CHARACTERS, description.length()));
    }

    private void addTensors(GgufWriter writer, List<Part> parts, float alpha, Map<String, GgufWeights> weights) {
        long rank = rank(parts);
        LoraPair first = parts.get(0).pair();
        List<Piece> ofA = new ArrayList<>();
        List<Piece> ofB = new ArrayList<>();
        for (Part part : parts) {
            GgufWeights file = weights.get(part.source().name());
            GgufTensor a = part.pair().a().orElseThrow();
            GgufTensor b = part.pair().b().orElseThrow();
            double factor = part.source().factor(part.pair()) * rank / alpha;
            // The A of embeddings is transposed. Experts have separate matrices.
            ofA.add(new Piece(file, a, part.rank() * (first.isEmbedding() ? 1 : a.dimension(0)), 1));
            ofB.add(new Piece(file, b, part.rank(), factor));
        }
        addTensor(writer, first.nameOfA(), first.a().orElseThrow(), first.isEmbedding() ? 0 : 1, rank, ofA);
        addTensor(writer, first.nameOfB(), first.b().orElseThrow(), 0, rank, ofB);
    }

    private void addTensor(
            GgufWriter writer, String name, GgufTensor like, int rankDimension, long rank, List<Piece> pieces) {
        List<Long> dimensions = new ArrayList<>();
        for (int index = 0; index < Math.max(2, like.dimensions().size()); index++) {
            dimensions.add(index == rankDimension ? rank : like.dimension(index));
        }
        writer.tensor(
                name,
                type,
                dimensions,
                new Joined(pieces, like.elements() / pieces.get(0).chunk(), type));
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, message);
    }

    /**
     * A tensor of an adapter within a tensor of the merged one.
     *
     * @param chunk elements that stay together
     * @param factor multiplies each weight
     */
    private record Piece(GgufWeights weights, GgufTensor tensor, long chunk, double factor) {
        void read(long first, float[] target, int offset, int count) {
            weights.read(tensor, first, target, offset, count);
            if (factor != 1) {
                for (int index = offset; index < offset + count; index++) {
                    target[index] = (float) (target[index] * factor);
                }
            }
        }
    }

    /**
     * The chunks of several tensors in turn.
     *
     * @param chunks in each tensor
     */
    private record Joined(List<Piece> pieces, long chunks, GgufTensorType type) implements GgufTensorData {
        /** A multiple of the elements of every type's block. */
        private static final int BUFFER_ELEMENTS = 16 * 1024;

        @Override
        public void writeTo(OutputStream out) throws IOException {
            float[] buffer = new float[BUFFER_ELEMENTS];
            int filled = 0;
            for (long index = 0; index < chunks; index++) {
                for (Piece piece : pieces) {
                    for (long done = 0; done < piece.chunk(); ) {
                        long left = piece.chunk() - done;
                        if (left > buffer.length - filled) {
                            out.write(GgufBlocks.encode(type, Arrays.copyOf(buffer, filled)));
                            filled = 0;
                        }
                        int count = (int) Math.min(left, buffer.length);
                        piece.read(index * piece.chunk() + done, buffer, filled, count);
                        filled += count;
                        done += count;
                    }
                }
            }
            out.write(GgufBlocks.encode(type, Arrays.copyOf(buffer, filled)));
        }
    }
}
