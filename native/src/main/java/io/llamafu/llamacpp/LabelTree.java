package io.llamafu.llamacpp;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Labels as a tree of tokens: the paths from its root to the labels, in lexicographic order, so that the labels below a node
 * are neighbors. Immutable.
 */
final class LabelTree {
    private final int[][] paths;
    private final int[] labels;
    /** How many tokens each path has in common with the one before it. */
    private final int[] shared;

    /**
     * A tree of these paths; of equal paths, the first counts.
     *
     * @param paths tokens by label, none empty
     */
    LabelTree(List<int[]> paths) {
        int[] sorted = IntStream.range(0, paths.size())
                .boxed()
                .sorted(Comparator.comparing(paths::get, Arrays::compare))
                .mapToInt(Integer::intValue)
                .toArray();
        int[] distinct = IntStream.range(0, sorted.length)
                .filter(i -> i == 0 || !Arrays.equals(paths.get(sorted[i]), paths.get(sorted[i - 1])))
                .map(i -> sorted[i])
                .toArray();
        this.labels = distinct;
        this.paths = Arrays.stream(distinct).mapToObj(paths::get).toArray(int[][]::new);
        this.shared = new int[distinct.length];
        for (int i = 1; i < distinct.length; i++) {
            shared[i] = common(this.paths[i - 1], this.paths[i]);
        }
    }

    /**
     * A node: the paths that begin with the same tokens.
     *
     * @param from the first of them
     * @param to the one after the last
     * @param depth how many tokens they have in common at least
     */
    record Node(int from, int to, int depth) {
        boolean isSingle() {
            return to - from == 1;
        }
    }

    int size() {
        return paths.length;
    }

    int[] path(int index) {
        return paths[index];
    }

    /** The index in the list of labels. */
    int label(int index) {
        return labels[index];
    }

    int longest() {
        return Arrays.stream(paths).mapToInt(path -> path.length).max().orElse(0);
    }

    /** Where the labels part first. The whole path, if there is one label only. */
    Node root() {
        return descend(new Node(0, paths.length, 0));
    }

    /** The node at which the paths of this one part; all of them have the tokens up to there. */
    Node descend(Node node) {
        return new Node(node.from(), node.to(), common(paths[node.from()], paths[node.to() - 1]));
    }

    /** Whether a label ends at a node where others go on. */
    boolean endsAt(Node node) {
        return !node.isSingle() && paths[node.from()].length == node.depth();
    }

    /** The nodes below, in the order of their tokens. */
    List<Node> children(Node node) {
        List<Node> children = new ArrayList<>();
        int from = endsAt(node) ? node.from() + 1 : node.from();
        for (int i = from + 1; i <= node.to(); i++) {
            if (i == node.to() || paths[i][node.depth()] != paths[from][node.depth()]) {
                children.add(new Node(from, i, node.depth() + 1));
                from = i;
            }
        }
        return children;
    }

    /** The token that leads to a child. */
    int token(Node child) {
        return paths[child.from()][child.depth() - 1];
    }

    /** The node with the first tokens of a path that no path before it begins with. */
    Node firstWith(int path, int depth) {
        int to = path + 1;
        while (to < paths.length && shared[to] >= depth) {
            to++;
        }
        return new Node(path, to, depth);
    }

    /** The depth of the last node on a path that others lead on from; one less than its length, unless a label goes on. */
    int innerDepth(int path) {
        boolean othersGoOn = path + 1 < paths.length && shared[path + 1] == paths[path].length;
        return othersGoOn ? paths[path].length : paths[path].length - 1;
    }

    /** How many tokens a path has in common with the one before it; for the first path 0. */
    int sharedWithPrevious(int path) {
        return shared[path];
    }

    private static int common(int[] left, int[] right) {
        int mismatch = Arrays.mismatch(left, right);
        return mismatch < 0 ? left.length : mismatch;
    }
}
