package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

class LabelTreeTest {
    private static final LabelTree TREE =
            new LabelTree(List.of(new int[] {5, 6, 7}, new int[] {5, 9}, new int[] {5}, new int[] {5, 6, 8, 4}));

    @Test
    void rootIsWhereTheLabelsPart() {
        assertThat(TREE.root()).isEqualTo(new LabelTree.Node(0, 4, 1));
        assertThat(TREE.endsAt(TREE.root())).isTrue();
        assertThat(TREE.label(0)).isEqualTo(2);
        assertThat(TREE.children(TREE.root()))
                .containsExactly(new LabelTree.Node(1, 3, 2), new LabelTree.Node(3, 4, 2));
        assertThat(TREE.token(new LabelTree.Node(3, 4, 2))).isEqualTo(9);
        assertThat(TREE.descend(new LabelTree.Node(1, 3, 2))).isEqualTo(new LabelTree.Node(1, 3, 2));
    }

    @Test
    void tokensThatAllLabelsHaveAreNoBranch() {
        LabelTree tree = new LabelTree(List.of(new int[] {1, 2, 3, 4, 5}, new int[] {1, 2, 3, 4, 6}, new int[] {9}));
        LabelTree.Node ones = tree.children(tree.root()).get(0);

        assertThat(tree.descend(ones).depth()).isEqualTo(4);
        assertThat(new LabelTree(List.of(new int[] {1, 2}, new int[] {1, 2}))
                        .root()
                        .isSingle())
                .isTrue();
    }

    /** As {@link LabelScoring} visits them. */
    @Test
    void runsOfAllPathsVisitEachInnerNodeOnce() {
        Random random = new Random(3);
        for (int round = 0; round < 500; round++) {
            List<int[]> paths = new ArrayList<>();
            for (int label = 0; label < 1 + random.nextInt(8); label++) {
                paths.add(random.ints(1 + random.nextInt(5), 0, 2).toArray());
            }
            LabelTree tree = new LabelTree(paths);
            if (tree.root().isSingle()) {
                continue;
            }
            TreeSet<String> expected = new TreeSet<>();
            for (int[] path : paths) {
                IntStream.range(tree.root().depth(), path.length)
                        .forEach(depth -> expected.add(beginning(path, depth)));
            }
            List<String> visited = new ArrayList<>();
            for (int path = 0; path < tree.size(); path++) {
                int from = path == 0 ? tree.root().depth() : tree.sharedWithPrevious(path) + 1;
                for (int depth = from; depth <= tree.innerDepth(path); depth++) {
                    visited.add(beginning(tree.path(path), depth));
                    assertThat(tree.firstWith(path, depth).from()).isEqualTo(path);
                }
            }
            assertThat(visited).doesNotHaveDuplicates().containsExactlyInAnyOrderElementsOf(expected);
        }
    }

    private static String beginning(int[] path, int depth) {
        return IntStream.range(0, depth).mapToObj(i -> path[i] + ",").reduce("", String::concat);
    }
}
