package io.llamafu.flink.routing;

import io.llamafu.flink.Completion;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;

import java.io.Serializable;

/**
 * What travels through the operators for a record: its request alone, or the record beside it.
 *
 * @param <T> the records
 * @param <E> what travels
 * @param <R> what leaves
 */
@Internal
public interface Carrier<T, E, R> extends Serializable {

    TypeInformation<E> elementType();

    E carry(T value, RoutedRequest request);

    /** The request of an element; routers change it in place. */
    RoutedRequest request(E element);

    TypeInformation<R> outcomeType();

    R outcome(E element, Completion completion);

    /** Flink cannot key by null. A request without a key carries its error already. */
    default String keyOf(E element) {
        String key = request(element).getKey();
        return key == null ? "" : key;
    }
}
