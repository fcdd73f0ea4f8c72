import { mount } from 'svelte';

import App from './App.svelte';
import { Live } from './cluster/live.svelte';
import { placeOfPage } from './cluster/place';
import { Operator } from './operator.svelte';
import { takeToken } from './token';
import './style/index.css';

// Before anything else looks at the address.
const operator = new Operator(takeToken(location, history));

const live = new Live(placeOfPage());
live.start();

const target = document.getElementById('app');
if (target) mount(App, { target, props: { live, operator } });
