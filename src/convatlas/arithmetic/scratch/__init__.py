"""A convolutional network from first principles, in NumPy alone: every forward pass, and every backward pass by hand.

Read in this order:

1. `window`: where a kernel lies. `convolution`: a dot product that slides, in loops: the definition.
2. `im2col` and `toeplitz`: the same as one product of matrices, in two ways.
3. `gradients`: backpropagation through a convolution; docs/backpropagation.md works it with numbers.
4. `kinds`, `transposed`, `locally_connected`: the other convolutions. `layouts`: NCHW and NHWC.
5. `pooling`, `unpooling`, `regions`; `batch_norm`, `dropout`, `activations`, `dense`, `loss`.
6. `filters`: kernels that people made by hand. `lenet5`: all of it in one network, which learns to read digits.

A backward pass takes `grad`, the gradient of the loss with respect to what the forward pass gave, and returns that with
respect to what it took. Arrays keep their kind of float; whole numbers become float64. Gradients are best checked in
float64, where finite differences are exact to some ten digits, and trained in float32, which is twice as quick.
Shapes: N pictures, C channels in, K channels out, then one size for each axis of space, first to last.
"""
