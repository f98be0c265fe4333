package io.llamafu.llamacpp;

import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.Prompt;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.llamacpp.LlamaContext.ScaledAdapter;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Decodes sequences step by step as the engine does, but continues each with given tokens and shows the logits of every
 * step. For comparisons with other implementations.
 */
public final class ForcedDecoding implements AutoCloseable {
    private final LlamaModel model;
    private final LlamaContext context;
    private final Map<String, LlamaAdapter> adapters = new HashMap<>();
    private final List<WantedRow> wanted = new ArrayList<>();

    /**
     * A sequence.
     *
     * @param stack as it is written; empty for the base model. An adapter without a scale has the scale 1
     * @param continuation the tokens that follow the prompt: step i, of as many steps as there are tokens, sees the first i
     */
    public record Forced(String stack, List<Integer> prompt, List<Integer> continuation) {
        public Forced {
            prompt = List.copyOf(prompt);
            continuation = List.copyOf(continuation);
        }
    }

    /** Receives the logits of each step of each sequence, one logit for each token of the vocabulary. */
    @FunctionalInterface
    public interface LogitsVisitor {
        void visit(int sequence, int step, float[] logits);
    }

    private record WantedRow(int sequence, int step, int row) {}

    private ForcedDecoding(LlamaModel model, LlamaContext context) {
        this.model = model;
        this.context = context;
    }

    /**
     * Opens a model.
     *
     * @param options of the model and the context
     * @param adapters files by name
     */
    public static ForcedDecoding open(EngineOptions options, Map<String, Path> adapters) {
        LlamaModel model = LlamaModel.load(options);
        LlamaContext context = LlamaContext.create(
                model,
                options.contextSize(),
                options.parallelSequences(),
                options.batchSize(),
                options.threads(),
                true,
                options.deterministic());
        ForcedDecoding decoding = new ForcedDecoding(model, context);
        adapters.forEach((name, file) -> {
            AdapterInfo info = AdapterInfo.of(GgufReader.read(file, GgufKind.ADAPTER));
            decoding.adapters.put(name, LlamaAdapter.load(model, file, info, true, () -> {}));
        });
        return decoding;
    }

    /** Decodes all sequences together, in one batch per step. */
    public void run(List<Forced> sequences, LogitsVisitor visitor) {
        for (int sequence = 0; sequence < sequences.size(); sequence++) {
            Forced forced = sequences.get(sequence);
            context.setAdapters(sequence, adapters(forced.stack()));
            int last = forced.prompt().size() - 1;
            for (int position = 0; position <= last; position++) {
                if (context.batch().free() == 0) {
                    decode(visitor);
                }
                int row = context.batch().add(forced.prompt().get(position), position, sequence, position == last);
                if (position == last) {
                    wanted.add(new WantedRow(sequence, 0, row));
                }
            }
        }
        decode(visitor);
        int steps = sequences.stream()
                .mapToInt(forced -> forced.continuation().size())
                .max()
                .orElse(0);
        for (int step = 1; step < steps; step++) {
            addStep(sequences, step);
            decode(visitor);
        }
        for (int sequence = 0; sequence < sequences.size(); sequence++) {
            context.removeCells(sequence, 0);
            context.setAdapters(sequence, List.of());
        }
    }

    private void addStep(List<Forced> sequences, int step) {
        for (int sequence = 0; sequence < sequences.size(); sequence++) {
            Forced forced = sequences.get(sequence);
            if (step < forced.continuation().size()) {
                int position = forced.prompt().size() + step - 1;
                int row = context.batch().add(forced.continuation().get(step - 1), position, sequence, true);
                wanted.add(new WantedRow(sequence, step, row));
            }
        }
    }

    private void decode(LogitsVisitor visitor) {
        context.decode();
        for (WantedRow row : wanted) {
            visitor.visit(row.sequence(), row.step(), context.logits(row.row()));
        }
        wanted.clear();
        context.batch().clear();
    }

    private List<ScaledAdapter> adapters(String stack) {
        return AdapterStack.parse(stack).entries().stream()
                .map(entry -> new ScaledAdapter(
                        Optional.ofNullable(adapters.get(entry.name())).orElseThrow(),
                        entry.scale().orElse(1f)))
                .toList();
    }

    /** The tokens of a text without control tokens, with the beginning-of-sequence token where the model has one. */
    public List<Integer> tokenize(String text) {
        int[] tokens = model.tokenize(Prompt.text(text), text.getBytes(UTF_8), Integer.MAX_VALUE)
                .orElseThrow();
        return Arrays.stream(tokens).boxed().toList();
    }

    @Override
    public void close() {
        context.close();
        adapters.values().forEach(LlamaAdapter::close);
        model.close();
    }
}
