package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.testing.TinyModel;
import io.llamafu.testing.TinyModel.Golden;
import org.apache.flink.configuration.MemorySize;

import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static java.util.Objects.requireNonNull;

/** The notes that the tiny model was trained to answer, with the right answer under each stack. */
public final class Notes {
    private static final String FRAME = TinyModel.prompt("{text}");
    private static final List<String> TEXTS;
    private static final Map<Question, String> ANSWERS = new HashMap<>();

    private record Question(String prompt, AdapterStack stack) {}

    static {
        Set<String> texts = new LinkedHashSet<>();
        int before = FRAME.indexOf("{text}");
        int after = FRAME.length() - before - "{text}".length();
        for (Golden golden : TinyModel.golden()) {
            texts.add(golden.prompt().substring(before, golden.prompt().length() - after));
            ANSWERS.put(new Question(golden.prompt(), golden.stack()), golden.expected());
        }
        TEXTS = List.copyOf(texts);
    }

    private Notes() {}

    public static String text(int index) {
        return TEXTS.get(index % TEXTS.size());
    }

    public static List<String> texts() {
        return TEXTS;
    }

    public static String answer(String text, String stack) {
        Question question = new Question(TinyModel.prompt(text), AdapterStack.parse(stack));
        return requireNonNull(ANSWERS.get(question), () -> "no answer is known for " + question);
    }

    /** Equal engine options everywhere, so that all tests share one engine; each request is answered anew. */
    public static LlamafuOptions.Builder options() {
        return LlamafuOptions.builder()
                .model(TinyModel.model().toUri().toString())
                .adapters(TinyModel.adapters().toString())
                .promptTemplate(FRAME)
                .answerMemo(MemorySize.ZERO)
                .threads(1)
                .maxTokens(48);
    }
}
