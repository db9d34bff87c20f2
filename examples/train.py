"""Train a binary network on scikit-learn's digits with Bop, in a training loop of your own.

Every weight of the two layers is -1 or +1 from the first step to the last. Copy this file, replace
the data and the network by yours, and read it from top to bottom: there is nothing else.

    python examples/train.py
"""

import bopkit  # before larq and TensorFlow, which then find the Keras 2 that larq needs

import larq as lq
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

seed = 0  # of the split, the weights and the order of the images
validation_images = 360  # images that the network never trains on, of 1,797
epochs = 20  # passes over the training images
batch_size = 32  # images per step
hidden = 512  # binary neurons in the hidden layer
gamma = 1e-2  # γ in the first epoch: how much the newest gradient counts in the average m
gamma_decay = 0.7  # the factor that multiplies γ after each epoch, so that the flips die out
threshold = 0.0  # τ: while γ decays, Bop needs no threshold
learning_rate = 1e-2  # of Adam, which trains batch normalization, the only real-valued part

# The data: images of 8x8 pixels, scaled to [-1, 1].
tf.keras.utils.set_random_seed(seed)
order = np.random.default_rng(seed).permutation(1797)
digits = load_digits()
images, labels = digits.data[order].astype(np.float32) / 8 - 1, digits.target[order]
held_out_images, held_out_labels = images[:validation_images], labels[:validation_images]
train = tf.data.Dataset.from_tensor_slices((images, labels)).skip(validation_images)
train = train.shuffle(len(images)).batch(batch_size, drop_remainder=True)

# The network: precision=1 marks a kernel as binary, and RandomSign starts it at -1 and +1. Batch
# normalization takes a momentum of 0.9, because with 44 steps per epoch Keras' 0.99 would lag.
binary = {
    "kernel_quantizer": lq.quantizers.NoOp(precision=1),
    "kernel_initializer": bopkit.RandomSign(),
    "use_bias": False,
}
model = tf.keras.Sequential(
    [
        tf.keras.Input((64,)),
        lq.layers.QuantDense(hidden, **binary),
        tf.keras.layers.BatchNormalization(momentum=0.9),
        lq.layers.QuantDense(10, input_quantizer="ste_sign", **binary),
        tf.keras.layers.BatchNormalization(momentum=0.9),
    ]
)

# The optimizer: Bop flips the binary weights and hands everything else to Adam.
optimizer = bopkit.Bop(tf.keras.optimizers.Adam(learning_rate), threshold=threshold, gamma=gamma)
cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(images, labels):
    """Take one step along the gradient of the binary network, and return the loss before it."""
    with tf.GradientTape() as tape:
        loss = cross_entropy(labels, model(images, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


for epoch in range(1, epochs + 1):
    flips_before = int(optimizer.total_flips())
    losses = [float(train_step(*batch)) for batch in train]
    # flip ratio: flips / (binary weights · steps)
    flips = int(optimizer.total_flips()) - flips_before
    flip_ratio = flips / (optimizer.binary_weights * len(losses))
    predicted = model(held_out_images, training=False).numpy().argmax(axis=1)
    print(
        f"epoch {epoch:2}  gamma {float(optimizer.gamma):.1e}  loss {np.mean(losses):.3f}  "
        f"flip ratio {flip_ratio:.1e}  validation {np.mean(predicted == held_out_labels):.1%}",
        flush=True,
    )
    optimizer.gamma = gamma * gamma_decay**epoch
