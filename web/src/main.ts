import { mount } from 'svelte';

import App from './App.svelte';
import { Live } from './cluster/live.svelte';
import { placeOfPage } from './cluster/place';
import './style/index.css';

const live = new Live(placeOfPage());
live.start();

const target = document.getElementById('app');
if (target) mount(App, { target, props: { live } });
