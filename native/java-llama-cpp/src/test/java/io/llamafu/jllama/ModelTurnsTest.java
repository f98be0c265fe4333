package io.llamafu.jllama;

import io.llamafu.testing.Await;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

@Timeout(60)
class ModelTurnsTest {
    private final ExecutorService requests = Executors.newCachedThreadPool();
    private final List<String> order = new CopyOnWriteArrayList<>();

    @AfterEach
    void stop() {
        requests.shutdownNow();
    }

    @Test
    void requestsOfAModelShareItsTurn() {
        assertThat(ModelTurns.begin("a", () -> false)).isTrue();
        assertThat(ModelTurns.begin("a", () -> false)).isTrue();
        ModelTurns.end();
        ModelTurns.end();
    }

    @Test
    void nextTurnIsOfTheModelThatHasWaitedLongest() throws Exception {
        assertThat(ModelTurns.begin("a", () -> false)).isTrue();
        Future<?> other = submit("b", 1);
        Future<?> same = submit("a", 2);
        assertThat(order).isEmpty();

        ModelTurns.end();

        other.get();
        same.get();
        assertThat(order).containsExactly("b", "a");
    }

    @Test
    void requestThatIsGivenUpDelaysNobody() throws Exception {
        assertThat(ModelTurns.begin("a", () -> false)).isTrue();
        assertThat(ModelTurns.begin("b", () -> true)).isFalse();
        submit("a", 0).get();
        ModelTurns.end();

        submit("b", 0).get();
        assertThat(order).containsExactly("a", "b");
    }

    /** A request that has one turn, and waits in line for it if that is taken. */
    private Future<?> submit(String model, int waiting) throws Exception {
        Future<?> request = requests.submit(() -> {
            assertThat(ModelTurns.begin(model, () -> false)).isTrue();
            order.add(model);
            ModelTurns.end();
        });
        Await.until(waiting + " models in line", () -> request.isDone() || ModelTurns.waitingModels() == waiting);
        return request;
    }

    @Test
    void interruptedRequestKeepsItsPlace() throws Exception {
        assertThat(ModelTurns.begin("a", () -> false)).isTrue();
        Future<Boolean> other = requests.submit(() -> {
            Thread.currentThread().interrupt();
            boolean began = ModelTurns.begin("b", () -> false);
            ModelTurns.end();
            return began && Thread.interrupted();
        });
        Await.until("a model in line", () -> ModelTurns.waitingModels() == 1);

        ModelTurns.end();

        assertThat(other.get(60, TimeUnit.SECONDS)).isTrue();
    }
}
