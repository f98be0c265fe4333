package io.llamafu.jllama;

import io.llamafu.engine.Prompt;
import io.llamafu.gguf.ModelFile;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Keeps control tokens out of text. The library turns every control string into its token, so a control string in a part of
 * text is cut in two, and the pieces are tokenized one after the other.
 */
final class PromptTokenizer {
    /** SentencePiece writes a blank so, and begins a text with one. */
    private static final char BLANK = '\u2581';

    /** No token has a line break and what follows it, so that the pieces of a text can be tokenized as its rest. */
    private static final String LINE_BREAK = "\n";

    private final Node controlStrings = new Node();
    private final Optional<String> beginOfSequence;
    private final boolean addsBeginOfSequence;
    private final boolean isSentencePiece;

    /**
     * A prompt for the library.
     *
     * @param json a text, or an array of texts and tokens
     * @param tokens how many it has in all
     */
    record Tokenized(String json, int tokens) {}

    /** A place in a tree of control strings. */
    private static final class Node {
        private final Map<Character, Node> next = new HashMap<>();
        private boolean ends;
    }

    PromptTokenizer(ModelFile file, Map<String, Integer> controlTokens) {
        controlTokens.keySet().forEach(this::add);
        this.beginOfSequence = controlTokens.entrySet().stream()
                .filter(token -> token.getValue() == file.beginOfSequence())
                .map(Map.Entry::getKey)
                .findAny();
        this.isSentencePiece = file.gguf().string("tokenizer.ggml.model").equals("llama");
        // the default of llama.cpp, if the file does not say
        this.addsBeginOfSequence =
                file.gguf().findFlag("tokenizer.ggml.add_bos_token").orElse(isSentencePiece);
    }

    /** Also as a text would have it that becomes the control token when its blanks are written. */
    private void add(String controlString) {
        addWritten(controlString);
        if (controlString.indexOf(BLANK) >= 0) {
            String blank = controlString.replace(BLANK, ' ');
            addWritten(blank);
            addWritten(blank.strip());
        }
    }

    private void addWritten(String controlString) {
        Node node = controlStrings;
        for (int i = 0; i < controlString.length(); i++) {
            node = node.next.computeIfAbsent(controlString.charAt(i), unused -> new Node());
        }
        node.ends = true;
    }

    /** Asks the model for tokens; needs a stack as for {@link TextLimits}. */
    Tokenized tokenize(BoundModel model, Prompt prompt) {
        String text = prompt.toString();
        List<String> pieces = pieces(text, cuts(prompt, text));
        int[] beginning = model.tokenize(pieces.get(0));
        int first = beginning.length;
        int[] lineBreak = isSentencePiece ? model.tokenize(LINE_BREAK) : new int[0];
        int[] tokens = Stream.concat(
                        Stream.of(beginning),
                        pieces.stream().skip(1).map(piece -> continuation(model, lineBreak, piece)))
                .flatMapToInt(Arrays::stream)
                .toArray();
        if (beginsWithItsToken(prompt)) {
            return new Tokenized(array(tokens, 0, ""), tokens.length);
        }
        int added = addsBeginOfSequence ? 1 : 0;
        String begin = CompletionJson.text(pieces.get(0));
        return new Tokenized(pieces.size() == 1 ? begin : array(tokens, first, begin), tokens.length + added);
    }

    /** Whether its author wrote the beginning-of-sequence token, so that the library must not add one. */
    private boolean beginsWithItsToken(Prompt prompt) {
        return !prompt.isEmpty()
                && prompt.parts().get(0).controlTokens()
                && beginOfSequence
                        .filter(token -> prompt.parts().get(0).text().startsWith(token))
                        .isPresent();
    }

    /** Without the blank that SentencePiece puts in front of a text. */
    private int[] continuation(BoundModel model, int[] lineBreak, String piece) {
        if (isSentencePiece) {
            int[] tokens = model.tokenize(LINE_BREAK + piece);
            if (tokens.length > lineBreak.length
                    && Arrays.equals(lineBreak, 0, lineBreak.length, tokens, 0, lineBreak.length)) {
                return Arrays.copyOfRange(tokens, lineBreak.length, tokens.length);
            }
        }
        return model.tokenize(piece);
    }

    private static String array(int[] tokens, int from, String begin) {
        return Arrays.stream(tokens, from, tokens.length)
                .mapToObj(String::valueOf)
                .collect(Collectors.joining(",", begin.isEmpty() ? "[" : "[" + begin + ",", "]"));
    }

    private static List<String> pieces(String text, List<Integer> cuts) {
        List<String> pieces = new ArrayList<>();
        int begin = 0;
        for (int cut : cuts) {
            pieces.add(text.substring(begin, cut));
            begin = cut;
        }
        pieces.add(text.substring(begin));
        return pieces;
    }

    /**
     * Where to cut, such that every control string that is left whole lies in a part that may hold it. A cut lies in text or
     * beside it, so never in a control token.
     */
    private List<Integer> cuts(Prompt prompt, String text) {
        List<Integer> cuts = new ArrayList<>();
        int lastCut = 0;
        int partEnd = 0;
        int part = -1;
        for (int begin = 0; begin < text.length(); begin++) {
            while (begin >= partEnd) {
                part++;
                partEnd += prompt.parts().get(part).text().length();
            }
            // in text, every control string that begins here is cut; elsewhere those that reach into text
            int cut = boundary(text, prompt.parts().get(part).controlTokens() ? partEnd : begin + 1);
            if (cut < text.length() && cut != lastCut && hasControlString(text, begin, cut)) {
                cuts.add(cut);
                lastCut = cut;
            }
        }
        return cuts;
    }

    /** Not within a surrogate pair. */
    private static int boundary(String text, int index) {
        return index < text.length() && Character.isLowSurrogate(text.charAt(index)) ? index + 1 : index;
    }

    /** Whether a control string goes from here beyond the cut. */
    private boolean hasControlString(String text, int begin, int cut) {
        Node node = controlStrings;
        for (int i = begin; i < text.length(); i++) {
            node = node.next.get(text.charAt(i));
            if (node == null) {
                return false;
            }
            if (node.ends && i >= cut) {
                return true;
            }
        }
        return false;
    }
}
